"""Measure: [--quick] [--rounds N] [--minutes M] [--before CHECKOUT] [--only-ours]."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from loadtests.bench import pages
from loadtests.bench.results import ROOT, print_progress
from loadtests.bench.tasks import report
from loadtests.bench.tasks.fill import Fill
from loadtests.bench.tasks.rounds import Size, measure
from loadtests.bench.tasks.systems import Side, environment

FILLS = [Fill(1_000, 1_000), Fill(1_000_000, 1_000_000)]
QUICK_FILLS = [Fill(1_000, 1_000), Fill(100_000, 100_000)]
QUICK = Size(serial=300, concurrent=1_200, paced=150)


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
        for fill in QUICK_FILLS if options.quick else FILLS:
            ours += await servers.ours(fill, sides)
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
        celery, procrastinate, _ = (system.name for system in systems[len(ours) :])
        compared = [system.name for system in ours if system.name.startswith("ours,")]
        text += "\n\n" + report.aims(rounds, compared, celery, procrastinate)
    text += "\n\n" + report.where_time_goes(rounds)
    sys.stdout.write(text + "\n")
    if not (options.quick or options.only_ours or options.before):
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
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(_options()))
