"""The same figures of ours as the data grow: nothing that is read may cost by how much there is."""

import statistics
from dataclasses import dataclass

from loadtests.bench.cases import DETAIL, ENROLL, Case
from loadtests.bench.load import Target
from loadtests.bench.rounds import Measured, run
from loadtests.bench.site import LIST, NO_CACHE, Site, site

CACHED_LIST, CACHED_COURSE = "cached list", "cached course"
PAGE, COURSE, ENROLMENT = "list without cache", "course without cache", "enrolment"
CASES = (CACHED_LIST, CACHED_COURSE, PAGE, COURSE, ENROLMENT)
# At most so many times slower than with the least data.
BOUNDS = {CACHED_LIST: 1.2, CACHED_COURSE: 1.2, PAGE: 2.0, COURSE: 2.0}
FEWEST_PAGES = 5


@dataclass(frozen=True)
class Size:
    """How many rows there are."""

    courses: int
    enrollments: int

    def __str__(self) -> str:
        return f"{self.courses:,} courses, {self.enrollments:,} enrolments"


SIZES = (Size(100, 0), Size(10_000, 0), Size(100_000, 0), Size(100_000, 5_000_000))
QUICK_SIZES = (Size(100, 0), Size(10_000, 50_000))

Grown = dict[str, Measured]


async def measure(sizes: tuple[Size, ...], rounds: int, seconds: float) -> Grown:
    """Return the figures of each case at each size; all databases are there all the time."""
    async with site() as servers:
        cases = []
        for size in sizes:
            cases += await _cases(servers, size)
        measured = await run(cases, rounds, seconds)
    return {
        str(size): {case.name: measured[case.name] for case in cases if case.section == str(size)}
        for size in sizes
    }


async def _cases(servers: Site, size: Size) -> list[Case]:
    name = f"grown_{size.courses}_{size.enrollments}"
    database = await servers.database(name, size.courses, size.enrollments)
    cached = await servers.ours(name, database)
    uncached = await servers.ours(f"{name}_uncached", database, **NO_CACHE)
    ids = str(database.ids)
    known = database.ids.read_text("ascii").split()[0]
    targets = {
        CACHED_LIST: Target(cached.url + LIST),
        CACHED_COURSE: Target(f"{cached.url}{DETAIL}/{known}"),
        # One after the other, so that each is made for itself.
        PAGE: Target(uncached.url + LIST, mode=("pages", str(FEWEST_PAGES)), connections=1),
        COURSE: Target(uncached.url + DETAIL, mode=("details", ids), connections=1),
        ENROLMENT: Target(cached.url + ENROLL, mode=("enroll", ids)),
    }
    return [
        Case(f"{case}, {size}", str(size), target, {"server": cached.pid, **servers.groups})
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


def table(found: dict[str, dict[str, float]]) -> str:
    """Render the rates, and how much slower the slowest size is than the smallest."""
    sizes = list(found)
    lines = [
        "| requests/s | " + " | ".join(sizes) + " | slower | at most | |",
        "|---" + "|---:" * (len(sizes) + 2) + "|---|",
    ]
    for case in CASES:
        row = [found[size][case] for size in sizes]
        slower = max(row[0] / each for each in row)
        cells = [f"{each:,.0f}" for each in row]
        bound = BOUNDS.get(case)
        verdict = "" if bound is None else "met" if slower <= bound else "missed"
        lines.append(
            f"| {case} | {' | '.join(cells)} | {slower:.2f} | {bound or 'no aim'} | {verdict} |"
        )
    return "\n".join(lines)
