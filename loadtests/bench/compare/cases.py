"""The cases, their servers, and what each is compared with."""

from dataclasses import dataclass, field
from typing import Any

from loadtests import browser
from loadtests.bench.environment import LIST, NO_CACHE, Environment, Instance
from loadtests.bench.load import Target

MANY_COURSES, SOME_ENROLLMENTS = 10_000, 50_000
DEEPEST_PAGE = 200
# Fewer than the pages: concurrent requests for one page are made once.
READERS = 16
DETAIL = "/api/v1/courses"
ENROLL = "/api/v1/enrollments"
ONE = "one process"


@dataclass(frozen=True)
class Case:
    """One row of a table; `groups` are the processes whose use of the processor is read."""

    name: str
    section: str
    target: Target
    groups: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Aim:
    """What a case must reach: so many times another case's requests a second.

    The medians count; with `every_round` also the worst round.
    """

    text: str
    case: str
    base: str
    at_least: float
    every_round: bool = False


CACHED, READS, WRITES, PROCESSES = (
    "Cached reads",
    "Reads of the database",
    "Enrolments",
    "Two processes",
)
SECTIONS = (CACHED, READS, WRITES, PROCESSES)

BARE_LIST, BARE_DETAIL = "bare Sanic, the list as constant bytes", "bare Sanic, a course as bytes"
OUR_LIST, OUR_DETAIL, OUR_304 = "ours, list", "ours, course", "ours, list, 304"
FASTAPI_CACHED, GIN_CACHED = "FastAPI, list from Redis", "Gin, list from Redis, decoded, encoded"
BARE_ROWS, OUR_ROWS = "bare Sanic, 20 rows by asyncpg", "ours, 20 rows, no cache"
FASTAPI_ROWS = "FastAPI, 20 rows by SQLAlchemy"
BARE_INSERT, OUR_INSERT = "bare Sanic, insert by asyncpg", "ours, enrolment"
OUR_HOT = "ours, enrolment, all in one course"
BARE_TWO, OUR_TWO = "bare Sanic, two processes", "ours, list, two processes"
OUR_NORMAL, OUR_NORMAL_TWO = (
    "ours, list, the normal path",
    "ours, list, the normal path, two processes",
)
OUR_CORE, OUR_CORES = (
    "ours, list, a process and its load on one core",
    "ours, list, two processes and their load on two cores",
)
# A header that the fast path (api.protocol.fast_path) does not know.
NORMAL_PATH = ("X-Not-Plain: 1",)

AIMS = (
    Aim("cached list, of bare Sanic", OUR_LIST, BARE_LIST, 0.85),
    Aim("cached course, of bare Sanic", OUR_DETAIL, BARE_DETAIL, 0.85),
    Aim("304, of bare Sanic", OUR_304, BARE_LIST, 1.0),
    Aim("cached list, of bare Sanic, two processes each", OUR_TWO, BARE_TWO, 0.85),
    Aim("cached list, of FastAPI and Redis", OUR_LIST, FASTAPI_CACHED, 3.0),
    Aim("cached list, of the Go design", OUR_LIST, GIN_CACHED, 1.0),
    Aim("list without cache, of raw asyncpg", OUR_ROWS, BARE_ROWS, 0.8),
    Aim("list without cache, of FastAPI and SQLAlchemy", OUR_ROWS, FASTAPI_ROWS, 4.0),
    Aim("enrolment, of a bare insert", OUR_INSERT, BARE_INSERT, 0.7),
    Aim(
        "two processes, of one, the normal path", OUR_NORMAL_TWO, OUR_NORMAL, 1.5, every_round=True
    ),
    Aim("two processes, of one, the fast path", OUR_TWO, OUR_LIST, 1.5, every_round=True),
    Aim("two cores, of one, the fast path", OUR_CORES, OUR_CORE, 1.5, every_round=True),
)


async def side_by_side(servers: Environment) -> tuple[list[Case], list[str]]:
    """Start all servers; return the cases, and the reason of each missing case."""
    mine = await servers.database("ours", MANY_COURSES, SOME_ENROLLMENTS)
    theirs = await servers.database("theirs", MANY_COURSES, SOME_ENROLLMENTS)
    known = mine.ids.read_text("ascii").split()[0]
    ours = await servers.ours("ours", mine)
    etag = await servers.remember(ours, known)
    two = await servers.ours("ours_two", mine, API_WORKERS="2")
    uncached = await servers.ours("ours_uncached", mine, **NO_CACHE)
    bare = await servers.bare("bare", theirs)
    bare_two = await servers.bare("bare_two", theirs, processes=2)
    fastapi = await servers.fastapi(theirs)
    gin = await servers.gin()

    def case(
        name: str, section: str, server: Instance, path: str, *mode: str, **target: Any
    ) -> Case:
        # All servers are asked as a browser asks.
        sent = browser.lines("post" if mode[:1] == ("enroll",) else "fetch")
        sent += target.pop("headers", ())
        chosen = Target(server.url + path, sent, mode or ("get",), **target)
        return Case(name, section, chosen, {"server": server.pid, **servers.groups})

    def page(name: str, server: Instance, path: str) -> Case:
        pages = ("pages", str(DEEPEST_PAGE))
        return case(name, READS, server, path, *pages, connections=READERS)

    one = servers.one_of(mine)
    cases = [
        case(BARE_LIST, CACHED, bare, "/list"),
        case(OUR_LIST, CACHED, ours, LIST),
        case(BARE_DETAIL, CACHED, bare, "/detail"),
        case(OUR_DETAIL, CACHED, ours, f"{DETAIL}/{known}"),
        case(FASTAPI_CACHED, CACHED, fastapi, "/cached"),
        page(BARE_ROWS, bare, "/rows?x"),
        page(OUR_ROWS, uncached, LIST),
        page(FASTAPI_ROWS, fastapi, "/rows?x"),
        case(BARE_INSERT, WRITES, bare, "/enroll", "enroll", str(theirs.ids)),
        case(OUR_INSERT, WRITES, ours, ENROLL, "enroll", str(mine.ids)),
        case(OUR_HOT, WRITES, ours, ENROLL, "enroll", str(one)),
        case(BARE_TWO, PROCESSES, bare_two, "/list"),
        case(OUR_TWO, PROCESSES, two, LIST),
        case(OUR_NORMAL, PROCESSES, ours, LIST, headers=NORMAL_PATH),
        case(OUR_NORMAL_TWO, PROCESSES, two, LIST, headers=NORMAL_PATH),
    ]
    missing = []
    if cores := servers.two_cores():
        for name, of in ((OUR_CORE, cores[:1]), (OUR_CORES, cores)):
            server = await servers.ours(f"ours_on_{len(of)}", mine, API_WORKERS=str(len(of)))
            servers.pin(server, of)
            cases.append(case(name, PROCESSES, server, LIST, cores=of))
    else:
        missing.append(f"{OUR_CORES}: no two cores to choose")
    if etag:
        cases.insert(4, case(OUR_304, CACHED, ours, LIST, headers=(f"If-None-Match: {etag}",)))
    else:
        missing.append(f"{OUR_304}: the list has no ETag")
    if isinstance(gin, Instance):
        cases.insert(5, case(GIN_CACHED, CACHED, gin, "/cached"))
    else:
        missing.append(f"{GIN_CACHED}: {gin}")
    return cases, missing
