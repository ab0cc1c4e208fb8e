"""The lines of the checklist, in its words, and what verifies each."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.checklist.outcome import Outcome
from deploy.checklist.suite import Suite
from deploy.verdict import EXIT_NOT_CHECKED, Verdict
from infra.identity import qualified

MIGRATION_TESTS = (
    *("tests/unit/test_migration_files.py", "tests/integration/test_migrations.py"),
    *("tests/integration/test_database.py", "tests/integration/test_old_schema.py"),
    "tests/e2e/test_migrations_under_load.py",
)
ROLLBACK_TESTS = (
    *("tests/unit/test_release_failures.py", "tests/unit/test_release_machine.py"),
    "tests/e2e/test_releases.py",
)
DASHBOARD_TESTS = (
    *("tests/unit/test_dashboards.py", "tests/unit/test_alertmanager.py"),
    *("tests/integration/test_alert_rules.py", "tests/e2e/test_observe.py"),
)
ROLLBACK_PAGE = "docs/deployment.md"
ROLLBACK_COMMAND = "enroll release abort"
_OUT = "dist/release-check"


@dataclass(frozen=True)
class Line:
    """A line of the checklist and its check, which gets the repository and its tests' outcome."""

    text: str
    check: Callable[[Path, Suite], Outcome]


def run(root: Path, *command: str, not_checked: int | None = None) -> Outcome:
    """Run a command; 0 is passed, `not_checked` the exit code that says it could not be checked."""
    shown = shlex.join(command).replace(sys.executable, "python")
    try:
        done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    except OSError as error:
        return Outcome(Verdict.NOT_CHECKED, f"{shown}: {error.strerror}")
    sys.stdout.write(done.stdout + done.stderr)
    if done.returncode == 0:
        return Outcome(Verdict.PASSED, shown)
    if done.returncode == not_checked:
        return Outcome(Verdict.NOT_CHECKED, f"{shown}: exit code {done.returncode}")
    return Outcome(Verdict.FAILED, f"{shown}: exit code {done.returncode}")


def _tests(_root: Path, suite: Suite) -> Outcome:
    return suite.outcome()


def _security(root: Path, _suite: Suite) -> Outcome:
    module = qualified("deploy.security")
    return run(root, sys.executable, "-m", module, not_checked=EXIT_NOT_CHECKED)


def _performance(root: Path, _suite: Suite) -> Outcome:
    places = ("--out", _OUT, "--reports", f"{_OUT}/locust")
    return run(root, sys.executable, "-m", "loadtests.load", "sustained", *places, not_checked=2)


def _migrations(_root: Path, suite: Suite) -> Outcome:
    return suite.outcome(*MIGRATION_TESTS)


def _rollback(root: Path, suite: Suite) -> Outcome:
    page = root / ROLLBACK_PAGE
    if not page.exists() or ROLLBACK_COMMAND not in page.read_text("utf-8"):
        documented = Outcome(Verdict.FAILED, f"{ROLLBACK_PAGE} lacks `{ROLLBACK_COMMAND}`")
    else:
        documented = Outcome(Verdict.PASSED, ROLLBACK_PAGE)
    return Outcome.of_all([documented, suite.outcome(*ROLLBACK_TESTS)])


def _dashboards(root: Path, suite: Suite) -> Outcome:
    enroll = str(Path(sys.executable).with_name("enroll"))
    return Outcome.of_all(
        [
            run(root, sys.executable, "-m", qualified("deploy.observe.dashboards"), "--check"),
            run(root, enroll, "slo", "rules", "--check"),
            suite.outcome(*DASHBOARD_TESTS),
        ]
    )


LINES = (
    Line("All tests pass (Unit + Integration)", _tests),
    Line("Security scan completed", _security),
    Line("Performance benchmarks met", _performance),
    Line("Database migrations tested", _migrations),
    Line("Rollback plan documented", _rollback),
    Line("Monitoring dashboards updated", _dashboards),
)
