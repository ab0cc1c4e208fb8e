"""Verifies the release checklist; `make release-check` runs it.

Exit codes: 0 all lines passed, 1 a line failed, 3 none failed but one could not be checked.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.checklist.lines import LINES, Line
from deploy.checklist.outcome import Outcome
from deploy.checklist.suite import BESIDE, Suite
from deploy.verdict import EXIT_NOT_CHECKED, Verdict

ROOT = Path(__file__).parents[2]
EXIT_FAILED = 1
_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_CHECKED: "yellow"}


def main(root: Path, lines: tuple[Line, ...] = LINES, options: tuple[str, ...] = BESIDE) -> int:
    """Run the tests once and check each line; print the table and return the exit code."""
    suite = Suite.run(*options)
    outcomes = {line.text: line.check(root, suite) for line in lines}
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("release checklist", "result", "note")
    for text, outcome in outcomes.items():
        style = _STYLES[outcome.verdict]
        table.add_row(text, f"[{style}]{outcome.verdict}[/]", escape(outcome.note))
    console.print(table)
    return exit_code(outcomes.values())


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code for the outcomes."""
    verdict = Outcome.of_all(outcomes).verdict
    codes = {Verdict.FAILED: EXIT_FAILED, Verdict.NOT_CHECKED: EXIT_NOT_CHECKED}
    return codes.get(verdict, 0)


if __name__ == "__main__":
    sys.exit(main(ROOT))
