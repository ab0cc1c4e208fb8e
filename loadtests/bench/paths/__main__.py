"""python -m loadtests.bench.paths [--rounds N] [--seconds S] [--dry].

Rates on a shared machine say little, so the server's processor time of each request is compared,
case after case in alternating rounds; the ratios are those of medians.
"""

import argparse
import asyncio
import statistics
import sys
from dataclasses import dataclass

from loadtests.bench import pages, results
from loadtests.bench.compare import report
from loadtests.bench.compare.cases import ENROLL, NORMAL_PATH, Case
from loadtests.bench.compare.rounds import Measured, run
from loadtests.bench.environment import LIST, Environment, Instance, environment
from loadtests.bench.load import Figures, Target
from loadtests.browser import lines

COURSES, ENROLLMENTS = 1_000, 1_000
BARE, BARE_BROWSER = "bare Sanic, constant bytes", "bare Sanic, constant bytes, as a browser"
NORMAL, NORMAL_BROWSER = "normal path", "normal path, as a browser"
FAST, FAST_BROWSER = "fast path, two processes", "fast path, two processes, as a browser"
INSERT, ENROLLMENT = "bare Sanic, insert by asyncpg", "enrolment"
SECTION = "paths"


@dataclass(frozen=True)
class Aim:
    """How the rate of a case that is computed from its cost stands to another's, at least."""

    text: str
    case: str
    base: str
    at_least: float


AIMS = (
    Aim("fast path, with a browser's headers of without", FAST_BROWSER, FAST, 0.9),
    Aim("normal path of bare Sanic", NORMAL, BARE, 0.6),
    Aim("the same with a browser's headers", NORMAL_BROWSER, BARE_BROWSER, 0.6),
    Aim("enrolment of a bare insert", ENROLLMENT, INSERT, 0.9),
)
ENROLLMENT_MICROSECONDS = 300


async def cases(servers: Environment) -> list[Case]:
    """Start the servers; return the cases in the order of a round."""
    mine = await servers.database("ours", COURSES, ENROLLMENTS)
    theirs = await servers.database("theirs", COURSES, ENROLLMENTS)
    ours = await servers.ours("ours", mine)
    await servers.remember(ours, mine.ids.read_text("ascii").split()[0])
    two = await servers.ours("two", mine, API_WORKERS="2")
    bare = await servers.bare("bare", theirs)

    def case(name: str, server: Instance, path: str, *mode: str, headers: tuple[str, ...]) -> Case:
        target = Target(server.url + path, headers=headers, mode=mode or ("get",))
        return Case(name, SECTION, target, {"server": server.pid, **servers.groups})

    fetch, post = lines("fetch"), lines("post")
    return [
        case(BARE, bare, "/list", headers=()),
        case(NORMAL, ours, LIST, headers=NORMAL_PATH),
        case(BARE_BROWSER, bare, "/list", headers=fetch),
        case(NORMAL_BROWSER, ours, LIST, headers=fetch + NORMAL_PATH),
        case(FAST, two, LIST, headers=()),
        case(FAST_BROWSER, two, LIST, headers=fetch),
        case(INSERT, bare, "/enroll", "enroll", str(theirs.ids), headers=post),
        case(ENROLLMENT, ours, ENROLL, "enroll", str(mine.ids), headers=post),
    ]


def microseconds(figures: Figures) -> float:
    """Return the server's processor time of a request."""
    return figures.cores["server"] / figures.rps * 1e6


def table(measured: Measured) -> str:
    """Render the costs and rates."""
    rows = ["| case | requests/s | server µs | range | errors |", "|---|---:|---:|---:|---:|"]
    for name, rounds in measured.items():
        costs = [microseconds(each) for each in rounds]
        rate = statistics.median(each.rps for each in rounds)
        errors = sum(each.errors for each in rounds)
        rows.append(
            f"| {name} | {rate:,.0f} | {statistics.median(costs):.0f} "
            f"| {min(costs):.0f}-{max(costs):.0f} | {errors} |"
        )
    return "\n".join(rows)


def aims(measured: Measured) -> str:
    """Render the ratios by cost and by rate, and which aims are met."""
    median = {
        name: statistics.median(map(microseconds, rounds)) for name, rounds in measured.items()
    }
    rows = ["| aim | wanted | by cost | by rate | |", "|---|---:|---:|---:|---|"]
    for aim in AIMS:
        by_cost = median[aim.base] / median[aim.case]
        by_rate = report.median(measured, aim.case) / report.median(measured, aim.base)
        verdict = results.verdict(by_cost >= aim.at_least)
        rows.append(f"| {aim.text} | {aim.at_least} | {by_cost:.2f} | {by_rate:.2f} | {verdict} |")
    cost = median[ENROLLMENT]
    verdict = results.verdict(cost <= ENROLLMENT_MICROSECONDS)
    rows.append(
        f"| API of an enrolment | at most {ENROLLMENT_MICROSECONDS} µs | {cost:.0f} µs | "
        f"| {verdict} |"
    )
    return "\n".join(rows)


async def main(options: argparse.Namespace) -> None:
    """Measure, print, and write the tables down."""
    async with environment() as servers:
        where = results.machine(await servers.versions())
        measured = await run(await cases(servers), options.rounds, options.seconds)
    text = f"{where}.\n\n{table(measured)}\n\n## Aims\n\n{aims(measured)}"
    sys.stdout.write(text + "\n")
    if not options.dry:
        results.write("paths", "The paths of a request", text)
        pages.refresh()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="paths")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--dry", action="store_true", help="write no result")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(_options()))
