"""Runs all checks and prints their results.

Exit codes: 0 all passed, 1 something was found, 3 nothing was found but a check could not run.
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.security.checks import CHECKS
from deploy.security.outcome import Outcome, Verdict
from deploy.verdict import EXIT_NOT_CHECKED

ROOT = Path(__file__).parent.parent.parent
EXIT_FOUND = 1
OFFLINE = "--offline"
_STYLES = {Verdict.PASSED: "green", Verdict.FOUND: "red", Verdict.NOT_CHECKED: "yellow"}


def main(root: Path, *, offline: bool) -> int:
    """Run the checks over a folder; with `offline` a check that could not run is no failure."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    outcomes = {name: check(root) for name, check in CHECKS.items()}
    table = Table("check", "result", "note")
    for name, outcome in outcomes.items():
        for finding in outcome.findings:
            console.print(f"{name}: {escape(finding)}", soft_wrap=True)
        style = _STYLES[outcome.verdict]
        table.add_row(name, f"[{style}]{outcome.verdict}[/]", escape(outcome.note))
    console.print(table)
    code = exit_code(outcomes, offline=offline)
    console.print(_SUMMARIES[code])
    if code == 0 and any(each.verdict is Verdict.NOT_CHECKED for each in outcomes.values()):
        console.print("NOT CHECKED is not passed: run it again with a network.")
    return code


_SUMMARIES = {
    0: "Nothing was found.",
    EXIT_FOUND: "Something was FOUND.",
    EXIT_NOT_CHECKED: "Nothing was found, but something was NOT CHECKED.",
}


def exit_code(outcomes: dict[str, Outcome], *, offline: bool) -> int:
    """Return the exit code for the outcomes."""
    verdicts = {outcome.verdict for outcome in outcomes.values()}
    if Verdict.FOUND in verdicts:
        return EXIT_FOUND
    return EXIT_NOT_CHECKED if Verdict.NOT_CHECKED in verdicts and not offline else 0


if __name__ == "__main__":
    sys.exit(main(ROOT, offline=OFFLINE in sys.argv[1:]))
