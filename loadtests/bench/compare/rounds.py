"""Rounds: every case once a round, so that a busy moment of the machine affects all alike."""

from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex

from loadtests.bench.compare.cases import Case
from loadtests.bench.load import Figures, measure
from loadtests.bench.results import print_progress

WARM_SECONDS = 1.0

Measured = dict[str, list[Figures]]


async def run(cases: Sequence[Case], rounds: int, seconds: float) -> Measured:
    """Measure each case once a round; the first round has a short one before it, to warm up."""
    measured: Measured = {case.name: [] for case in cases}
    for case in cases:
        await _once(case, WARM_SECONDS)
    for number in range(rounds):
        for case in cases:
            figures = await _once(case, seconds)
            measured[case.name].append(figures)
            print_progress(
                f"round {number + 1}, {case.name}: {figures.rps:,.0f}/s, P99 {figures.p99:.1f} ms"
            )
    return measured


async def _once(case: Case, seconds: float) -> Figures:
    target = case.target
    if target.mode[0] == "enroll":
        # Other students in every run.
        target = replace(target, mode=(*target.mode, token_hex(6)))
    return await measure(target, seconds, case.groups)
