"""Writers and readers on two instances of two processes, while Redis is cut off, frozen, killed.

CACHE_WRITES=10000 (`make test-cache`) is the whole of it and writes a report; `make test` writes
400 times. Each writer owns a course and writes its numbers into the title, one after the other;
half of them give it a picture in place of every third. Meanwhile guests come and go: to be created
is their first write, to be deleted their second. Other writers hang up at a random moment; what
became of it, the database tells. Every reader notes when it began and what it saw.
Read through the instance that took the write, a number is never less than the one answered last;
through the other, never less than the one answered a second before. It counts only if memory was
read on each instance, and Redis was mistreated.
"""

import asyncio
import os
import re
import signal
import sys
import time
from contextlib import asynccontextmanager
from random import Random

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from loadtests.load.machine import Machine
from tests import photos, staleness
from tests.factories import COURSE, WAIT_SECONDS, Api, scrape
from tests.hanging_up import hang_up
from tests.instances import instance
from tests.staleness import STALE_SECONDS, Course, Verdict

WRITES = int(os.environ.get("CACHE_WRITES", "400"))
WRITERS = 4
READERS = 6
GUESTS = 2  # at a time
WHO_HANG_UP = 2
HANG_UPS = int(os.environ.get("CACHE_HANG_UPS", "48"))
# At most so long: some writes have been announced by then, some have not begun.
HANG_UP_SECONDS = (0.005, 0.02, 0.1)
# How long a write may go on whose client has hung up.
SETTLED_SECONDS = 0.7
NO_HOME = -1
FEEDS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND query NOT LIKE '%pg_stat_activity%'
      AND query LIKE '%FROM catalogue_changes WHERE version > $1%'
"""
ROUND = "rounds of all"
HITS = re.compile(r'^cache_requests_total{tier="memory"} ([0-9.e+]+)$', re.MULTILINE)
COURSES = "/api/v1/courses"
PICTURE = photos.jpeg(64, 48)

pytestmark = pytest.mark.timeout(180 + WRITES // 5)


@pytest.fixture
async def site(service, new_database, tmp_path):
    """Two instances on a database and a Redis of their own; no worker, so only writers publish."""
    async with running(tmp_path / "servers", {"cache"}) as servers:
        environment = service.env | {
            "DATABASE_URL": await new_database(),
            "CACHE_URL": servers.environment["CACHE_URL"],
            "SKIP_MIGRATION": "true",
            "API_WORKERS": "2",
            "RATE_LIMIT_EXEMPT": "127.0.0.1",
        }
        async with (
            asyncpg.create_pool(environment["DATABASE_URL"], min_size=1, max_size=2) as database,
            instance(tmp_path, environment) as one,
            instance(tmp_path, environment) as other,
            _clients(one, other) as clients,
        ):
            yield servers, clients, database


@asynccontextmanager
async def _clients(*addresses):
    """Clients that spread over an instance's processes: a connection for every request."""
    limits = httpx.Limits(max_keepalive_connections=0)
    clients = [httpx.AsyncClient(base_url=each, timeout=10, limits=limits) for each in addresses]
    yield clients
    for client in clients:
        await client.aclose()


async def test_nobody_reads_the_past(site, capsys):
    servers, clients, database = site
    machine, verdict = Machine.here(), Verdict()
    admin = (await Api.log_in(clients[0])).headers
    courses = [await _create(clients, admin, number) for number in range(WRITERS)]
    hung_up = [await _create(clients, admin, number) for number in range(WHO_HANG_UP)]
    courses += hung_up
    reading = [asyncio.create_task(_read(clients, courses, verdict, n)) for n in range(READERS)]
    mischief = asyncio.create_task(_mischief(servers, database, verdict))
    over = asyncio.Event()
    hang_ups = [
        asyncio.create_task(_hang_up(clients[n % 2], admin, course, (database, over), verdict))
        for n, course in enumerate(hung_up)
    ]
    visits = [asyncio.create_task(_visit(clients, admin, n, verdict, over)) for n in range(GUESTS)]
    try:
        async with asyncio.TaskGroup() as writers:
            for course in courses[:WRITERS]:
                home = clients[course.home]
                writers.create_task(_write(home, admin, course, verdict, mischief))
    finally:
        over.set()
        guests = [guest for guests in await asyncio.gather(*visits) for guest in guests]
        await asyncio.gather(*hang_ups)
        mischief.cancel()
        for reader in reading:
            reader.cancel()
        done = await asyncio.gather(*reading, mischief, return_exceptions=True)
    for each in done:
        if not isinstance(each, asyncio.CancelledError):
            raise each
    await asyncio.sleep(STALE_SECONDS)
    for course in courses:
        for client in clients:
            for what, read in READS.items():
                for _ in range(4):
                    verdict.see_at_the_end(course, await read(client, course), what)
    left = await _json(clients[0], COURSES)
    assert {each["id"] for each in left} == {course.id for course in courses}
    assert guests
    verdict.guests = len(guests)
    verdict.writes = sum(len(course.answered) for course in courses) + 2 * len(guests)
    assert verdict.hang_ups["committed"] > 0
    verdict.hits = [await _hits(client) for client in clients]
    report = verdict.report(machine)
    staleness.write(report)
    with capsys.disabled():
        sys.stdout.write(f"\n{report}")
    assert not verdict.breaches, verdict.breaches[:10]
    assert verdict.mischief[ROUND] >= 1
    assert all(hits > 0 for hits in verdict.hits), verdict.hits


async def test_each_write_is_announced_by_whoever_makes_it(site):
    """In the storm another's announcement, or mischief, stands in for one that is missing."""
    _, (home, other), _ = site
    admin = (await Api.log_in(home)).headers
    for _ in range(4):
        await _json(other, COURSES)
        await _json(other, COURSES, limit=100)
    course = await _create((home, other), admin, 0)
    path = f"{COURSES}/{course.id}"
    assert await _shown(other, course) == {0}
    changed = COURSE | {"title": f"{course.word} 1", "description": course.word}
    assert (await home.put(path, headers=admin, json=changed)).status_code == 200
    assert await _shown(other, course) == {1}
    await _give_picture(home, admin, course, 2)
    assert await _shown(other, course) == {2}
    assert (await home.delete(path, headers=admin)).status_code == 204
    course.is_guest = course.is_leaving = True
    assert await _shown(other, course) == {2}
    assert await _hits(other) > 0


async def _shown(client, course: Course) -> set[int]:
    """Return what an instance shows when it has to; from then on it has that in memory."""
    await asyncio.sleep(STALE_SECONDS)
    return {await read(client, course) for _ in range(4) for read in READS.values()}


async def _hits(client) -> float:
    await asyncio.sleep(0.5)  # each process writes its own down by then
    return sum(map(float, HITS.findall(await scrape(client))))


async def _create(clients, admin, number: int) -> Course:
    home, word = number % len(clients), f"stress{number}x{time.monotonic_ns()}"
    answer = await clients[home].post(
        COURSES, headers=admin, json=COURSE | {"title": f"{word} 0", "description": word}
    )
    assert answer.status_code == 201, answer.text
    # On each instance one of two.
    is_pictured = number >= len(clients)
    return Course(answer.json()["id"], home, word, is_pictured, [time.monotonic()])


async def _write(client, admin, course: Course, verdict: Verdict, mischief) -> None:
    number = 0
    # A fast machine is done before the worst has happened once: it goes on.
    while number < WRITES // WRITERS - 1 or not (verdict.mischief[ROUND] or mischief.done()):
        number += 1
        if course.is_pictured and number % 3 == 0:
            await _give_picture(client, admin, course, number)
        else:
            body = COURSE | {"title": f"{course.word} {number}", "description": course.word}
            answer = await client.put(f"{COURSES}/{course.id}", headers=admin, json=body)
            assert answer.status_code == 200, answer.text
        course.answered.append(time.monotonic())
        if number % 5 == 0:
            # The writer itself, at once, through whichever process of its instance.
            for what, read in READS.items():
                began = time.monotonic()
                verdict.see(course, course.home, began, await read(client, course), f"own {what}")


async def _visit(clients, admin, number: int, verdict: Verdict, over) -> list[Course]:
    """Create a course, look at it through both instances, delete it, look again; and over again."""
    guests = []
    while not over.is_set():
        began = time.monotonic()
        guest = await _create(clients, admin, number)
        guest.answered[:0] = [began]
        guest.is_guest = True
        guests.append(guest)
        await _look(clients, guest, verdict)
        guest.is_leaving = True
        gone = await clients[guest.home].delete(f"{COURSES}/{guest.id}", headers=admin)
        assert gone.status_code == 204, gone.text
        guest.answered.append(time.monotonic())
        await _look(clients, guest, verdict)
    return guests


async def _look(clients, guest: Course, verdict: Verdict) -> None:
    """Look through its own instance at once, and through the other for as long as is judged."""
    for what, read in READS.items():
        began = time.monotonic()
        seen = await read(clients[guest.home], guest)
        verdict.see(guest, guest.home, began, seen, f"own {what}")
    other = 1 - guest.home
    while time.monotonic() < guest.answered[-1] + STALE_SECONDS + 0.2:
        for what, read in READS.items():
            began = time.monotonic()
            verdict.see(guest, other, began, await read(clients[other], guest), what)
        await asyncio.sleep(0.05)


async def _hang_up(client, admin, course: Course, told: tuple, verdict: Verdict) -> None:
    """Write numbers into a title, each by clients that hang up, until the database has it."""
    database, over = told
    course.home, random = NO_HOME, Random(course.word)
    while not over.is_set():
        title = f"{course.word} {len(course.answered)}"
        body = COURSE | {"title": title, "description": course.word}
        request = client.build_request("PUT", f"{COURSES}/{course.id}", headers=admin, json=body)
        await hang_up(request, random.uniform(0, random.choice(HANG_UP_SECONDS)))
        verdict.hang_ups["all"] += 1
        await asyncio.sleep(SETTLED_SECONDS)
        stored = await database.fetchval("SELECT title FROM courses WHERE id = $1", course.id)
        if stored == title:
            course.answered.append(time.monotonic())
            verdict.hang_ups["committed"] += 1


async def test_what_a_client_commits_that_hangs_up_is_shown_a_second_later(site):
    """Writes that are cut off at many moments, where no other process publishes changes."""
    _, clients, database = site
    admin, random = (await Api.log_in(clients[0])).headers, Random(3)
    made = [await _create(clients, admin, number) for number in range(HANG_UPS)]
    await _shown_everywhere(clients, made)
    for number, course in enumerate(made):
        path = f"{COURSES}/{course.id}"
        body = COURSE | {"title": f"{course.word} 1", "description": course.word}
        picture = {"image": ("picture.jpg", PICTURE, "image/jpeg")}
        method, path, content = (
            ("PUT", path, {"json": body}),
            ("DELETE", path, {}),
            ("PUT", f"{path}/image", {"files": picture}),
            ("PATCH", path, {"json": {"title": body["title"]}}),
        )[number % 4]
        request = clients[number % 2].build_request(method, path, headers=admin, **content)
        await hang_up(request, random.uniform(0, random.choice(HANG_UP_SECONDS)))
    await asyncio.sleep(SETTLED_SECONDS + STALE_SECONDS)
    stored = await database.fetch("SELECT id::text, title, image_task_id::text FROM courses")
    truth = {row["id"]: (row["title"], row["image_task_id"]) for row in stored}
    committed = sum(truth.get(each.id) != (f"{each.word} 0", None) for each in made)
    assert 0 < committed < HANG_UPS
    for shown in await _shown_everywhere(clients, made):
        assert shown == truth


async def _shown_everywhere(clients, made: list[Course]) -> list[dict]:
    """Return what each instance shows of all courses, in each way, through all its processes."""
    found = []
    for client in clients * 4:
        details = [await client.get(f"{COURSES}/{each.id}") for each in made]
        found += [
            [each.json() for each in details if each.status_code == 200],
            await _json(client, COURSES),
            (await _json(client, COURSES, limit=100))["data"],
        ]
    return [
        {each["id"]: (each["title"], each.get("image", {}).get("task_id")) for each in listed}
        for listed in found
    ]


async def _give_picture(client, admin, course: Course, number: int) -> None:
    files = {"image": ("picture.jpg", PICTURE, "image/jpeg")}
    path = f"{COURSES}/{course.id}/image"
    answer = await client.put(path, headers=admin, files=files)
    assert answer.status_code == 202, answer.text
    course.pictures[answer.json()["image"]["task_id"]] = number


async def _read(clients, courses, verdict: Verdict, number: int) -> None:
    turn = number
    while True:
        turn += 1
        where, course = turn % len(clients), courses[turn // len(clients) % len(courses)]
        what, read = list(READS.items())[turn // 8 % len(READS)]
        began = time.monotonic()
        verdict.see(course, where, began, await read(clients[where], course), what)


async def _detail(client, course: Course) -> int:
    answer = await client.get(f"{COURSES}/{course.id}")
    if course.is_guest and answer.status_code == 404:
        return _number(None, course)
    assert answer.status_code == 200, answer.text
    return _number(answer.json(), course)


async def _page(client, course: Course) -> int:
    return _number_in((await _json(client, COURSES, limit=100))["data"], course)


async def _plain_list(client, course: Course) -> int:
    return _number_in(await _json(client, COURSES), course)


async def _search(client, course: Course) -> int:
    return _number_in((await _json(client, COURSES, search=course.word))["data"], course)


READS = {"detail": _detail, "page": _page, "plain list": _plain_list, "search": _search}


async def _json(client, path: str, **query):
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _number_in(listed: list[dict], course: Course) -> int:
    return _number(next((each for each in listed if each["id"] == course.id), None), course)


def _number(shown: dict | None, course: Course) -> int:
    """Return the number of the last write that is shown."""
    if course.is_guest:
        return 1 if shown else 2 if course.is_leaving else 0
    assert shown, "a course that stays is not shown"
    title = int(shown["title"].rpartition(" ")[2])
    if "image" not in shown:
        return title
    # One that is shown before its write was answered is of the next write.
    picture = course.pictures.get(shown["image"]["task_id"], len(course.answered))
    return max(title, picture)


async def _mischief(servers, database, verdict: Verdict) -> None:
    """Cut the feeds, flush, freeze and restart Redis, over and over."""
    url = servers.environment["CACHE_URL"]
    while True:
        # What hangs names its line.
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.sleep(0.7)
            async with Redis.from_url(url) as redis:
                links = await database.fetch(FEEDS)
                assert links, "no process follows the changes"
                for each in links[:2]:
                    await database.execute("SELECT pg_terminate_backend($1)", each["pid"])
                    verdict.mischief["feeds cut"] += 1
                cut = await redis.client_kill_filter(_type="normal")
                verdict.mischief["connections cut"] += cut
                await asyncio.sleep(0.7)
                verdict.mischief["flushed"] += await redis.flushall()
                await asyncio.sleep(0.7)
                pid = (await redis.info("server"))["process_id"]
                os.kill(pid, signal.SIGSTOP)
                try:
                    await asyncio.sleep(1.5)
                finally:
                    os.kill(pid, signal.SIGCONT)
                verdict.mischief["frozen for 1.5 s"] += 1
                await asyncio.sleep(0.7)
            await servers.stop("cache")
            await asyncio.sleep(0.5)
            await servers.start("cache")
            verdict.mischief["restarted"] += 1
            verdict.mischief[ROUND] += 1
