"""The same figures as the data grow: the cost of a read must not depend on the number of rows."""

import math
import statistics
from dataclasses import dataclass

import httpx

from loadtests.bench.compare import sizes
from loadtests.bench.compare.cases import DETAIL, ENROLL, Case
from loadtests.bench.compare.rounds import Measured, run
from loadtests.bench.environment import LIST, NO_CACHE, Environment, Instance, environment
from loadtests.bench.load import Target
from loadtests.bench.results import verdict

FEWEST_PAGES, DEEP = 5, 0.9
CACHED_LIST, CACHED_COURSE = "cached list", "cached course"
PAGE, COURSE = f"pages 1 to {FEWEST_PAGES} without cache", "100 newest courses without cache"
DEEP_PAGE, ENROLMENT = f"page at {DEEP:.0%} of all, without cache", "enrolment"
CASES = (CACHED_LIST, CACHED_COURSE, PAGE, DEEP_PAGE, COURSE, ENROLMENT)
UNCACHED = (PAGE, DEEP_PAGE, COURSE)
# At most so many times slower than with the least data.
BOUNDS = {CACHED_LIST: 1.2, CACHED_COURSE: 1.2, PAGE: 2.0, DEEP_PAGE: 2.0, COURSE: 2.0}


@dataclass(frozen=True)
class Size:
    """How many rows there are."""

    courses: int
    enrollments: int

    def __str__(self) -> str:
        return f"{self.courses:,} courses, {self.enrollments:,} enrolments"


SIZES = (Size(100, 0), Size(10_000, 0), Size(100_000, 0), Size(100_000, 5_000_000))
QUICK_SIZES = (Size(100, 0), Size(10_000, 50_000))

# By size, and by the name of a case.
Grown = dict[str, Measured]
# The memory of a course is measured with so many courses, each read once.
REMEMBERED = 2_000


async def measure(of: tuple[Size, ...], rounds: int, seconds: float) -> tuple[Grown, str]:
    """Return the figures of each case at each size, and the table of what rows take.

    All databases are there all the time.
    """
    async with environment() as servers:
        cases = []
        for size in of:
            cases += await _cases(servers, size)
        measured = await run(cases, rounds, seconds)
        taken = await _sizes(servers, of[-1])
    grown = {
        str(size): {case.name: measured[case.name] for case in cases if case.section == str(size)}
        for size in of
    }
    return grown, taken


async def _sizes(servers: Environment, largest: Size) -> str:
    database = await servers.database("remembered", REMEMBERED, 0)
    instance = await servers.ours("remembered", database, CACHE_MEMORY_BYTES=str(1 << 30))
    disk = await sizes.on_disk(servers.known[_name(largest)])
    return sizes.table(disk, await sizes.in_memory(database, instance))


def _name(size: Size) -> str:
    return f"grown_{size.courses}_{size.enrollments}"


async def _has_all(instance: Instance, size: Size) -> None:
    """Refuse to measure a cache with another database's responses."""
    async with httpx.AsyncClient(base_url=instance.url) as client:
        total = (await client.get(LIST)).raise_for_status().json()["pagination"]["total_count"]
    if total != size.courses:
        raise SystemExit(f"{instance.name} shows {total:,} courses, and has {size.courses:,}")


async def _cases(servers: Environment, size: Size) -> list[Case]:
    name = _name(size)
    database = await servers.database(name, size.courses, size.enrollments)
    cached = await servers.ours(name, database)
    uncached = await servers.ours(f"{name}_uncached", database, **NO_CACHE)
    for instance in (cached, uncached):
        await _has_all(instance, size)
    ids = str(database.ids)
    deep = max(1, int(DEEP * size.courses / sizes.PAGE))
    known = database.ids.read_text("ascii").split()[0]
    targets = {
        CACHED_LIST: Target(cached.url + LIST),
        CACHED_COURSE: Target(f"{cached.url}{DETAIL}/{known}"),
        # One after the other, so that no two share a query.
        PAGE: Target(uncached.url + LIST, mode=("pages", str(FEWEST_PAGES)), connections=1),
        DEEP_PAGE: Target(f"{uncached.url}{LIST}&page={deep}", connections=1),
        COURSE: Target(uncached.url + DETAIL, mode=("details", ids), connections=1),
        ENROLMENT: Target(cached.url + ENROLL, mode=("enroll", ids)),
    }
    return [
        Case(
            f"{case}, {size}",
            str(size),
            target,
            {"server": (uncached if case in UNCACHED else cached).pid, **servers.groups},
        )
        for case, target in targets.items()
    ]


def rates(grown: Grown) -> dict[str, dict[str, float]]:
    """Return the median requests a second: {size: {case: rate}}."""
    return {
        size: {
            case: statistics.median(each.rps for each in measured[f"{case}, {size}"])
            for case in CASES
        }
        for size, measured in grown.items()
    }


def errors(grown: Grown) -> dict[str, int]:
    """Return how many requests of each case failed, at all sizes together."""
    return {
        case: sum(
            each.errors for size, measured in grown.items() for each in measured[f"{case}, {size}"]
        )
        for case in CASES
    }


def table(found: dict[str, dict[str, float]], failed: dict[str, int]) -> str:
    """Render the rates, and how much slower the slowest size is than the smallest."""
    lines = [
        "| requests/s | " + " | ".join(found) + " | slower | at most | |",
        "|---" + "|---:" * (len(found) + 2) + "|---|",
    ]
    for case in CASES:
        row = [rate[case] for rate in found.values()]
        # A case without any success is infinitely slow.
        slower = max(row[0] / each if each else math.inf for each in row)
        cells = [f"{each:,.0f}" for each in row]
        bound = BOUNDS.get(case)
        held = verdict(bound is None or slower <= bound, failed[case])
        shown = "" if bound is None and held == "met" else held
        lines.append(
            f"| {case} | {' | '.join(cells)} | {slower:.2f} | {bound or 'no aim'} | {shown} |"
        )
    return "\n".join(lines)
