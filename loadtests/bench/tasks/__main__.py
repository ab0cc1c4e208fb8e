"""Measure: [--quick] [--rounds N] [--minutes M] [--before CHECKOUT] [--only-ours] [--large].

Or with `--trap COUNT`: how much slower ours is after so many tasks beside an old snapshot.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from loadtests.bench import pages
from loadtests.bench.results import ROOT, print_progress
from loadtests.bench.tasks import report, trap
from loadtests.bench.tasks.fill import Fill
from loadtests.bench.tasks.rounds import Size, measure
from loadtests.bench.tasks.systems import Side, environment, in_the_loop

FILLS = [Fill(1_000, 1_000), Fill(1_000_000, 1_000_000)]
QUICK_FILLS = [Fill(1_000, 1_000), Fill(100_000, 100_000)]
LARGE_FILLS = [Fill(1_000, 1_000), Fill(10_000_000, 1_000_000)]
QUICK = Size(serial=300, concurrent=1_200, paced=150)


async def beside_a_snapshot(options: argparse.Namespace) -> None:
    """Measure ours beside an old snapshot."""
    side = Side("ours", options.before.resolve() if options.before else ROOT)
    async with environment() as servers:
        (system,) = await servers.ours(FILLS[0], [side])
        url = system.environment["DATABASE_URL"]
        steps = await trap.measure(system, url, options.trap, servers.stamps)
    sys.stdout.write(trap.table(steps) + "\n")


def _fills(options: argparse.Namespace) -> list[Fill]:
    if options.large:
        return LARGE_FILLS
    return QUICK_FILLS if options.quick else FILLS


async def main(options: argparse.Namespace) -> None:
    """Measure every system once a round, round after round, and report."""
    began = time.monotonic()
    size = QUICK if options.quick else Size()
    sides = [Side("ours", ROOT)]
    if options.before:
        sides.insert(0, Side("ours before", options.before.resolve()))
    rounds: report.Rounds = {}
    async with environment() as servers:
        versions = await servers.versions()
        ours = []
        for fill in _fills(options):
            ours += await servers.ours(fill, sides)
        compared = [system.name for system in ours if system.name.startswith("ours,")]
        # On the small table, with the code of this checkout.
        ours.append(in_the_loop(ours[len(sides) - 1]))
        systems = ours if options.only_ours else [*ours, *await servers.others()]
        for number in range(options.rounds or (1 if options.quick else 3)):
            for system in systems:
                figures = await measure(system, size, servers.stamps)
                rounds.setdefault(system.name, []).append(figures)
                print_progress(f"round {number + 1}, {system.name}: {figures}")
            spent = time.monotonic() - began
            if spent / (number + 1) * (number + 2) > 60 * options.minutes:
                break
    text = f"Medians of {number + 1} alternating rounds.\n\n{report.table(rounds)}"
    if not options.only_ours:
        durable = [system.name for system in systems if system.is_durable]
        text += "\n\n" + report.aims(rounds, compared, systems[len(ours)].name, durable)
    text += "\n\n" + report.where_time_goes(rounds)
    sys.stdout.write(text + "\n")
    if not (options.quick or options.only_ours or options.before or options.large):
        print_progress(f"written to {report.write(rounds, size, versions, text)}")
        pages.refresh()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_tasks")
    parser.add_argument("--quick", action="store_true", help="one small round; writes no results")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument(
        "--minutes", type=float, default=7.5, help="begin no round that would end later"
    )
    parser.add_argument("--before", type=Path, help="another checkout of ours, measured beside it")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--large", action="store_true", help="10,000,000 finished rows")
    parser.add_argument("--trap", type=int, metavar="COUNT", help="tasks beside an old snapshot")
    return parser.parse_args()


if __name__ == "__main__":
    given = _options()
    asyncio.run(beside_a_snapshot(given) if given.trap else main(given))
