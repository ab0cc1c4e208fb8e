"""`python -m deploy.schema lint | previous`: the checks of schema changes before a release.

Exit codes: 0 passed, 1 something was found or a test failed, 3 it could not be checked.
"""

import argparse
import sys

from deploy.schema.lint import SquawkMissingError, lint
from deploy.schema.previous import ALL_TESTS, NoPreviousReleaseError, check, previous_commit
from deploy.verdict import EXIT_NOT_CHECKED
from infra.db.migration_files import MigrationError, load

EXIT_FOUND = 1


def main(arguments: list[str]) -> int:
    """Run a check; return the exit code."""
    parser = argparse.ArgumentParser(prog="schema", description="Check schema changes.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lint", help="judge the migrations that no release has yet")
    previous = commands.add_parser("previous", help="test the release before on this schema")
    previous.add_argument("--rev", help="a revision; default: the newest tag of a release")
    previous.add_argument("tests", nargs="*", default=ALL_TESTS, help="default: all end-to-end")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "lint":
            return judge()
        commit = previous_commit(chosen.rev)
        _say(f"the end-to-end tests of {commit[:12]} on this release's schema:")
        return EXIT_FOUND if check(commit, chosen.tests) else 0
    except (NoPreviousReleaseError, SquawkMissingError) as error:
        _say(f"NOT CHECKED: {error}")
        return EXIT_NOT_CHECKED


def judge() -> int:
    """Print what is wrong with the new migrations, a line each; return the exit code."""
    try:
        found = lint(load())
    except MigrationError as error:
        _say(str(error))
        return EXIT_FOUND
    for name, findings in found.items():
        for each in findings:
            _say(f"migrations/models/{name}: SQL line {each.line}: {each.rule}: {each.message}")
    return EXIT_FOUND if found else 0


def _say(line: str) -> None:
    sys.stderr.write(f"schema: {line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
