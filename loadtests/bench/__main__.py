"""python -m loadtests.bench [--quick] [--rounds N] [--seconds S] [--only TEXT] [--no-growth]."""

import argparse
import asyncio
import sys
import time

from loadtests.bench import report
from loadtests.bench.cases import side_by_side
from loadtests.bench.rounds import run, say
from loadtests.bench.site import site


async def main(options: argparse.Namespace) -> None:
    """Measure everyone side by side, then ours as the data grow."""
    began = time.monotonic()
    rounds, seconds = (1, 1.5) if options.quick else (options.rounds, options.seconds)
    async with site() as servers:
        where = report.machine(await servers.versions())
        cases, missing = await side_by_side(servers)
        if options.only:
            cases = [case for case in cases if options.only in f"{case.section} {case.name}"]
        measured = await run(cases, rounds, seconds)
    text = f"{where}\n\n{report.sections(measured, cases)}\n\n### Aims\n\n{report.aims(measured)}"
    text += "".join(f"\n\nNot measured: {line}." for line in missing)
    sys.stdout.write(text + "\n")
    say(f"took {time.monotonic() - began:.0f} s")
    if not (options.quick or options.only):
        document = {"machine": where, "side_by_side": report.plain(measured)}
        say(f"written to {report.write(text, document)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="one short round; writes no results")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="", help="cases with this in section or name")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(_options()))
