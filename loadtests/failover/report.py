"""The table of a drill, and the page that has it."""

from datetime import UTC, datetime

from loadtests.failover.drill import Result
from loadtests.failover.load import KINDS
from loadtests.load.machine import Machine

COMMAND = "make failover"
HEAD = (
    "| step | requests | answered | refused or unanswered | longest time without success, s |\n"
    "|---|---|--:|--:|--:|\n"
)


def table(result: Result) -> str:
    """Return a row for each step and kind of request."""
    rows = []
    for step in result.steps:
        for kind in KINDS:
            answered = step.answered(result.outcomes, kind)
            failed = sum(not each.is_ok for each in answered)
            gap = step.gap(result.outcomes, kind)
            rows.append(f"| {step.name} | {kind} | {len(answered)} | {failed} | {gap:.2f} |\n")
    return HEAD + "".join(rows)


def section(results: dict[str, Result], rate: float) -> str:
    """Return the part of the page that has the tables, by the names of the drills."""
    when = f"{datetime.now(UTC):%Y-%m-%d}, {Machine.here()}; {rate:g} requests a second."
    parts = [f"{when}\n"]
    for name, result in results.items():
        lost = f"{len(result.lost)} of {result.acknowledged} acknowledged enrolments lost"
        parts.append(f"**{name}**: {lost}.\n\n{table(result)}")
    return "\n".join(parts)
