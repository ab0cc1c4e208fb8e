"""The table of a rehearsal."""

from datetime import UTC, datetime

from loadtests.failover.drill import Step
from loadtests.failover.load import KINDS, Outcome
from loadtests.load.machine import Machine
from loadtests.rehearsal.script import Rehearsed

COMMAND = "make rehearsal"
GAPS = f"longest time without success, s: {' | '.join(KINDS)}"
HEAD = f"""\
| step | took, s | requests | errors | unanswered | {GAPS} |
|---|--:|--:|--:|--:|{"--:|" * len(KINDS)}
"""


def section(rehearsed: Rehearsed, image: str, rate: float) -> str:
    """Return the part of the page: the table, and what was checked at the end."""
    result, uploads = rehearsed.drill.result, rehearsed.uploads
    rows = "".join(_row(step, result.outcomes) for step in result.steps)
    when = f"{datetime.now(UTC):%Y-%m-%d}, {Machine.here()}"
    enrolled, accepted = result.acknowledged, len(uploads.accepted)
    checks = {
        "image": image,
        "a client that speaks HTTP": rehearsed.redirect,
        "acknowledged enrolments that the primary lacks": f"{len(result.lost)} of {enrolled}",
        "accepted uploads without their picture": f"{accepted - uploads.ready} of {accepted}",
        "uploads that were refused": f"{uploads.refused}",
        "restore of the archive's end, over the failover": f"{rehearsed.restore_seconds:.1f} s",
        "acknowledged enrolments that it lacks": f"{rehearsed.missing} of {enrolled}",
    }
    checked = "".join(f"| {what} | {found} |\n" for what, found in checks.items())
    return (
        f"{when}; {rate:g} requests a second, and an upload every two seconds.\n\n{HEAD}{rows}\n"
        f"| checked at the end | |\n|---|---|\n{checked}"
    )


def _row(step: Step, outcomes: list[Outcome]) -> str:
    within = [each for kind in KINDS for each in step.answered(outcomes, kind)]
    unanswered = sum(each.status == 0 for each in within)
    errors = sum(not each.is_ok for each in within) - unanswered
    gaps = " | ".join(f"{step.gap(outcomes, kind):.2f}" for kind in KINDS)
    took = step.acted_at - step.began_at
    return f"| {step.name} | {took:.1f} | {len(within)} | {errors} | {unanswered} | {gaps} |\n"
