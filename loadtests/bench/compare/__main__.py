"""python -m loadtests.bench.compare [--quick] [--rounds N] [--seconds S] [--part PART]."""

import argparse
import asyncio
import sys
import time
from dataclasses import asdict
from typing import Any

from loadtests.bench import pages, results
from loadtests.bench.compare import growth, hot_course, plan, plot, report
from loadtests.bench.compare.cases import Case, side_by_side
from loadtests.bench.compare.rounds import Measured, run
from loadtests.bench.environment import environment

SIDES, GROWTH, HOT_COURSE = PARTS = ("sides", "growth", "hot_course")


async def main(options: argparse.Namespace) -> None:
    """Measure everyone side by side, then ours as the data grow, then a hot course."""
    began = time.monotonic()
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    parts, document = [], dict[str, Any]()
    if SIDES in options.part:
        text, measured, cases = await _sides(rounds, seconds, options.only, document)
        parts.append(text)
    if GROWTH in options.part:
        of = growth.QUICK_SIZES if options.quick else growth.SIZES
        # Ratios of ours to ours: fewer rounds will do.
        grown, taken = await growth.measure(of, max(1, rounds - 2), min(seconds, 2.0))
        rates = growth.rates(grown)
        document["growth"] = {size: report.plain(each) for size, each in grown.items()}
        document["growth_rates"] = rates
        parts.append(f"## Growth\n\n{growth.table(rates, growth.errors(grown))}")
        parts.append(f"## Bytes a row\n\n{taken}")
    if HOT_COURSE in options.part:
        hot = await hot_course.measure(1 if options.quick else 5, 3.0 if options.quick else 8.0)
        document["hot_course"] = asdict(hot)
        parts.append(f"## A hot course\n\n{hot_course.table(hot)}")
    if "plan" in document:
        parts.append(f"## By these costs\n\n{document['plan']}")
    text = "\n\n".join(parts)
    sys.stdout.write(text + "\n")
    results.print_progress(f"took {time.monotonic() - began:.0f} s")
    if not (options.quick or options.only) and set(options.part) == set(PARTS):
        results.print_progress(
            f"written to {results.write('bench', 'Side by side', text, document)}"
        )
        # Pictures are of what is written, and of nothing else.
        plot.sides(results.picture("bench"), measured, cases)
        plot.grown(results.picture("growth"), rates)
        pages.refresh()


async def _sides(
    rounds: int, seconds: float, only: str, document: dict[str, Any]
) -> tuple[str, Measured, list[Case]]:
    async with environment() as servers:
        where = results.machine(await servers.versions())
        cases, missing = await side_by_side(servers)
        chosen = [case for case in cases if only in f"{case.section} {case.name}"]
        measured = await run(chosen, rounds, seconds)
    document |= {"machine": where, "side_by_side": report.plain(measured)}
    if all(case in measured for case in plan.MIX):
        document["plan"] = plan.table(document["side_by_side"])
    text = f"{where}.\n\n{report.sections(measured, chosen)}\n\n## Aims\n\n{report.aims(measured)}"
    text += "".join(f"\n\nNot measured: {line}." for line in missing)
    return text, measured, chosen


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="one short round, writes nothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--only", default="", help="side by side: cases with this in their name")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(_options()))
