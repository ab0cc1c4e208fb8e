"""Judges migrations by squawk's rules and ours; `EXEMPT` of a migration has its exceptions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import postgast

from deploy.schema.rules import RULES, Finding, judge
from deploy.schema.script import Script
from infra.db.migration_files import Migration, Phase

# They are older than the rules: no release has ever run on a schema without them.
BASELINE = frozenset(
    {
        "0_20261129150000_initial.py",
        "1_20261129184116_trace_context.py",
        "2_20261129184643_feature_flags.py",
    }
)
# The oldest server that runs the service.
POSTGRES = "15.0"
IGNORED = {
    "prefer-bigint-over-int": "the models choose the types",
    "prefer-bigint-over-smallint": "the models choose the types",
    "prefer-identity": "the models choose the types",
    "prefer-text-field": "the models choose the types",
    "require-lock-timeout": "`enroll migrate` sets it",
    "require-statement-timeout": "an index takes as long as it takes, and nothing waits for it",
    "renaming-column": "the rule `rename` has all renames",
    "renaming-table": "the rule `rename` has all renames",
    "renaming-object": "the rule `rename` has all renames",
    "require-concurrent-index-creation": "the rule `concurrently` knows the new tables",
    "ban-concurrent-index-creation-in-transaction": "the rule `concurrently` knows the file",
    "prefer-robust-stmts": "a transaction or the rule `concurrently` makes it repeatable",
}
# A contracting migration is for these.
REMOVALS = ("ban-drop-column", "ban-drop-table", "ban-drop-not-null")


class SquawkMissingError(Exception):
    """squawk is not installed, so nothing was checked"""


def lint(
    migrations: list[Migration], baseline: frozenset[str] = BASELINE
) -> dict[str, list[Finding]]:
    """Return the findings of each migration that has any.

    Raises:
        SquawkMissingError: squawk is not installed.

    """
    judged = {each.name: _findings(each) for each in migrations if each.name not in baseline}
    return {name: findings for name, findings in judged.items() if findings}


def _findings(migration: Migration) -> list[Finding]:
    try:
        found = [*judge(Script(migration)), *_squawk(migration)]
    except postgast.PgQueryError as error:
        return [Finding("syntax", f"PostgreSQL can't parse it: {error}")]
    exempt = migration.exempt
    broken = {each.rule for each in found}
    faults = [
        Finding("exempt", f"{rule} is exempt without a reason")
        for rule, reason in exempt.items()
        if not reason.strip()
    ]
    faults += [
        Finding("exempt", f"{rule} is exempt, and nothing breaks it")
        for rule in exempt
        if rule not in broken
    ]
    return sorted(
        [each for each in found if each.rule not in exempt] + faults,
        key=lambda each: (each.line, each.rule),
    )


def _squawk(migration: Migration) -> list[Finding]:
    """Return what squawk finds.

    Raises:
        SquawkMissingError: it is not installed.

    """
    folder = Path(sys.executable).parent
    program = shutil.which("squawk", path=str(folder)) or shutil.which("squawk")
    if program is None:
        raise SquawkMissingError(SquawkMissingError.__doc__)
    ignored = [*IGNORED, *(REMOVALS if migration.phase is Phase.CONTRACT else ())]
    options = ["--reporter=json", f"--pg-version={POSTGRES}", f"--exclude={','.join(ignored)}"]
    if migration.in_transaction:
        options.append("--assume-in-transaction")
    done = subprocess.run(
        [program, *options, f"--stdin-filepath={migration.name}.sql"],
        input=migration.sql,
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout.startswith("["):
        raise RuntimeError(f"squawk failed: {done.stderr or done.stdout}")
    return [
        Finding(each["rule_name"], each["message"], each["line"] + 1)
        for each in json.loads(done.stdout)
    ]


def rule_names() -> list[str]:
    """Return the names of our own rules."""
    return [*RULES, "locks-several-tables", "syntax", "exempt"]
