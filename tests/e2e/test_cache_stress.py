"""Writers and readers on two instances of two processes, while Redis is cut off, frozen, killed.

CACHE_WRITES=10000 (`make test-cache`) is the whole of it; `make test` writes a tenth. Each writer
owns a course and writes its numbers into the title, one after the other; every reader notes when
it began and what it saw. Read through the instance that took the write, a number is never less
than the one answered last; through the other, never less than the one answered a second before.
"""

import asyncio
import os
import signal
import sys
import time
from bisect import bisect_right
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from tests.factories import ADMIN, COURSE, bearer
from tests.instances import instance

WRITES = int(os.environ.get("CACHE_WRITES", "1000"))
WRITERS = 4
READERS = 6
STALE_SECONDS = 1.0
COURSES = "/api/v1/courses"

pytestmark = pytest.mark.timeout(120 + WRITES // 10)


@dataclass
class Course:
    """A course, the instance that takes its writes, and when each write was answered."""

    id: str
    home: int
    word: str
    answered: list[float] = field(default_factory=list)

    def due(self, at: float) -> int:
        """Return the number of the last write answered before a time."""
        return bisect_right(self.answered, at) - 1


@dataclass
class Verdict:
    """What was seen: the worst staleness of the other instance, and every breach."""

    worst_seconds: float = 0.0
    breaches: list[str] = field(default_factory=list)
    reads: Counter = field(default_factory=Counter)

    def see(self, course: Course, instance: int, began: float, seen: int, what: str) -> None:
        self.reads[what] += 1
        if seen >= course.due(began):
            return
        # The first write that is missing: since when it could have been seen.
        late = began - course.answered[seen + 1]
        if instance == course.home:
            self.breaches.append(f"{what}: own write {seen + 1} unseen {late:.3f} s later")
            return
        self.worst_seconds = max(self.worst_seconds, late)
        if late > STALE_SECONDS:
            self.breaches.append(f"{what}: write {seen + 1} unseen {late:.3f} s later")


@pytest.fixture
async def site(service, new_database, tmp_path):
    """Two instances on a database and a Redis of their own; no worker: nobody else announces."""
    async with running(tmp_path / "servers", {"cache"}) as servers:
        environment = service.env | {
            "DATABASE_URL": await new_database(),
            "CACHE_URL": servers.environment["CACHE_URL"],
            "SKIP_MIGRATION": "true",
            "API_WORKERS": "2",
            "RATE_LIMIT_EXEMPT": "127.0.0.1",
        }
        async with (
            instance(tmp_path, environment) as one,
            instance(tmp_path, environment) as other,
            _clients(one, other) as clients,
        ):
            yield servers, clients


@asynccontextmanager
async def _clients(*addresses):
    """Clients that spread over an instance's processes: a connection for every request."""
    limits = httpx.Limits(max_keepalive_connections=0)
    clients = [httpx.AsyncClient(base_url=each, timeout=10, limits=limits) for each in addresses]
    yield clients
    for client in clients:
        await client.aclose()


async def test_nobody_reads_the_past(site, capsys):
    servers, clients = site
    login = await clients[0].post("/api/v1/auth/login", json=ADMIN)
    admin = bearer(login.json()["token"])
    courses = [await _create(clients, admin, number) for number in range(WRITERS)]
    verdict, started = Verdict(), time.monotonic()
    reading = [asyncio.create_task(_read(clients, courses, verdict, n)) for n in range(READERS)]
    mischief = asyncio.create_task(_mischief(servers))
    try:
        async with asyncio.TaskGroup() as writers:
            for course in courses:
                writers.create_task(_write(clients[course.home], admin, course, verdict))
    finally:
        mischief.cancel()
        for reader in reading:
            reader.cancel()
        done = await asyncio.gather(*reading, mischief, return_exceptions=True)
    faults = [each for each in done if not isinstance(each, asyncio.CancelledError)]
    assert not faults, faults
    await asyncio.sleep(STALE_SECONDS)
    for course in courses:
        for number, client in enumerate(clients):
            for _ in range(4):
                began = time.monotonic()
                assert await _seen(client, course) == len(course.answered) - 1, number
                listed = await _listed(client, course)
                assert listed == len(course.answered) - 1, number
                verdict.see(course, number, began, listed, "end")
    writes = sum(len(course.answered) for course in courses)
    with capsys.disabled():
        sys.stdout.write(
            f"\ncache stress: {writes} writes, {dict(verdict.reads)} reads in "
            f"{time.monotonic() - started:.0f} s; worst staleness {verdict.worst_seconds:.3f} s; "
            f"{len(verdict.breaches)} breaches\n"
        )
    assert not verdict.breaches, verdict.breaches[:10]


async def _create(clients, admin, number: int) -> Course:
    home, word = number % len(clients), f"stress{number}x{time.monotonic_ns()}"
    answer = await clients[home].post(
        COURSES, headers=admin, json=COURSE | {"title": f"{word} 0", "description": word}
    )
    assert answer.status_code == 201, answer.text
    return Course(answer.json()["id"], home, word, [time.monotonic()])


async def _write(client, admin, course: Course, verdict: Verdict) -> None:
    for number in range(1, WRITES // WRITERS):
        body = COURSE | {"title": f"{course.word} {number}", "description": course.word}
        answer = await client.put(f"{COURSES}/{course.id}", headers=admin, json=body)
        assert answer.status_code == 200, answer.text
        course.answered.append(time.monotonic())
        if number % 5 == 0:
            # The writer itself, at once, through whichever process of its instance.
            began = time.monotonic()
            verdict.see(course, course.home, began, await _seen(client, course), "own detail")
            began = time.monotonic()
            verdict.see(course, course.home, began, await _listed(client, course), "own list")


async def _read(clients, courses, verdict: Verdict, number: int) -> None:
    turn = number
    while True:
        turn += 1
        where, course = turn % len(clients), courses[turn // len(clients) % len(courses)]
        read, what = ((_seen, "detail"), (_listed, "list"))[turn // 8 % 2]
        began = time.monotonic()
        verdict.see(course, where, began, await read(clients[where], course), what)


async def _seen(client, course: Course) -> int:
    answer = await client.get(f"{COURSES}/{course.id}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["title"].rpartition(" ")[2])


async def _listed(client, course: Course) -> int:
    answer = await client.get(COURSES, params={"limit": 100})
    assert answer.status_code == 200, answer.text
    titles = {each["id"]: each["title"] for each in answer.json()["data"]}
    return int(titles[course.id].rpartition(" ")[2])


async def _mischief(servers) -> None:
    """Cut the links, flush, freeze and restart Redis, over and over."""
    url = servers.environment["CACHE_URL"]
    while True:
        await asyncio.sleep(0.7)
        async with Redis.from_url(url) as redis:
            links = [each for each in await redis.client_list() if "t" in each["flags"]]
            assert links, "nobody hears of changes"
            for each in links[:2]:
                await redis.client_kill_filter(_id=each["id"])
            await asyncio.sleep(0.7)
            await redis.flushall()
            await asyncio.sleep(0.7)
            pid = (await redis.info("server"))["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(1.5)
            finally:
                os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.7)
        await servers.stop("cache")
        await asyncio.sleep(0.5)
        await servers.start("cache")
