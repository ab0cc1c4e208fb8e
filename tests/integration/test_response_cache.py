"""What the cache of server processes promises, over a real PostgreSQL and a mistreated Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack, contextmanager
from typing import NamedTuple

import asyncpg
import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from infra.cache import (
    Entry,
    Key,
    ResponseCache,
    SecondLevel,
    Slice,
    TooManyFills,
)
from infra.cache.filler import FILLS, LONG_TAIL_FILLS, PLACE_SECONDS
from infra.db.change_ring import ChangeRing
from infra.db.feed import DatabaseFeed
from infra.db.history import Change
from infra.db.trust import TRUST_SECONDS
from services.catalogue.feed import CATALOGUE_POLL_SECONDS, CatalogueFeed
from tests.factories import eventually

ID, OTHER = "019aae3c-5f00-7cc0-8000-3f1bb9a3c001", "019aae3c-5f00-7cc0-8000-3f1bb9a3c002"
LIST = Key("courses", lock_on_fill=True)
COURSE = Key("course:1", ID)
BLOCK, PART = Key("block", lock_on_fill=True), Key("part")
TARGET = b"/api/v1/courses"
READ = """
    SELECT (SELECT version FROM catalogue_version) AS version,
           (SELECT title FROM courses WHERE id = $1) AS title,
           (SELECT image_url FROM courses WHERE id = $1) AS image
"""


class Catalogue:
    """A course whose title is a number; how often it was read, and how long a read takes."""

    def __init__(self, pool, url) -> None:
        self.pool, self.url = pool, url
        self.asked = 0
        self.seconds = 0.0

    async def __call__(self) -> Entry:
        """Read the title."""
        return await self.read(lambda row: row["title"].encode())

    async def read(self, body) -> Entry:
        self.asked += 1
        row = await self.pool.fetchrow(READ, ID)
        await asyncio.sleep(self.seconds)
        return Entry.of(body(row), version=row["version"])

    async def write(self, number: int, field: str = "title") -> list[Change]:
        """Write the number as a title, or in the address of the image; return the changes."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                f"UPDATE courses SET {field} = $1 WHERE id = $2", str(number), ID
            )
            rows = await connection.fetch("SELECT * FROM catalogue_changes_now()")
        return [Change(row["version"], str(row["course_id"]), row["listed"]) for row in rows]


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    """The embedded cache."""
    async with running(tmp_path_factory.mktemp("answers"), {"cache"}) as servers:
        yield servers


@pytest.fixture
async def redis(server):
    """A client of it, empty."""
    async with Redis.from_url(server.environment["CACHE_URL"]) as client:
        await client.flushall()
        yield client


@pytest.fixture(scope="module")
async def url(new_database):
    return await new_database()


@pytest.fixture
async def truth(url):
    """The catalogue, with the one course whose number is 0."""
    async with asyncpg.create_pool(url, min_size=1, max_size=8) as pool:
        await pool.execute("DELETE FROM courses")
        await pool.execute(
            "INSERT INTO courses (id, title, description, difficulty) "
            "VALUES ($1, '0', 'd', 'Beginner')",
            ID,
        )
        yield Catalogue(pool, url)


@pytest.fixture
def patience(monkeypatch):
    """Take a machine that runs other tests as well for slow, not for broken."""
    monkeypatch.setattr("infra.cache.level.TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr("infra.cache.filler.FILL_WAIT_SECONDS", 5.0)
    monkeypatch.setattr("infra.db.trust.POLL_WAIT_SECONDS", 5.0)


@pytest.fixture
async def process(server, redis, truth):
    """Make a server process's cache, started and in step with the database."""
    async with AsyncExitStack() as started:

        async def make(shared=None, *, url=None, follows=True, **options) -> ResponseCache:
            level = SecondLevel(url or server.environment["CACHE_URL"])
            options = {"memory_bytes": 1_000_000} | options
            cache = ResponseCache(level, change_ring=shared, **options)
            started.push_async_callback(cache.close)
            if follows:
                feed = DatabaseFeed(truth.url, CatalogueFeed(cache), seconds=CATALOGUE_POLL_SECONDS)
                started.callback(asyncio.create_task(feed.follow()).cancel)
                await cache.start(feed.wake)
                await eventually(lambda: asyncio.sleep(0, cache.trust.holds))
            return cache

        yield make


@contextmanager
def frozen(pid: int):
    """Stop a process from doing anything; its sockets still take connections and bytes."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _read(cache, truth, key=LIST) -> int:
    return int((await cache.get(key, truth)).body)


async def _kept(cache, truth, key=LIST) -> None:
    """Read until the entry comes from memory."""

    async def prewarm() -> bool:
        before = cache.counts.memory
        await cache.get(key, truth)
        return cache.counts.memory > before

    await eventually(prewarm, within=5)


async def _shows(cache, truth, number, key=LIST) -> None:
    """Wait until a process that did not write shows the number."""

    async def is_shown() -> bool:
        return await _read(cache, truth, key) == number

    await eventually(is_shown, within=TRUST_SECONDS)


async def test_it_is_made_once_then_found_in_memory_and_by_others_in_redis(
    patience, process, truth
):
    one, other = await process(), await process()
    await _kept(one, truth)
    await _kept(other, truth)
    assert truth.asked == 1
    assert other.counts.redis >= 1
    assert other.counts.database == 0


async def test_many_readers_of_one_process_ask_once(patience, process, truth):
    cache = await process()
    truth.seconds = 0.05
    assert await asyncio.gather(*(_read(cache, truth) for _ in range(50))) == [0] * 50
    assert truth.asked == 1


@pytest.mark.parametrize(("long_tail", "most"), [(False, FILLS), (True, LONG_TAIL_FILLS)])
async def test_a_process_fills_only_few_entries_at_once(
    patience, process, long_tail, most, monkeypatch
):
    monkeypatch.setattr("infra.cache.filler.PLACE_SECONDS", 10.0)
    monkeypatch.setattr("infra.cache.filler.LONG_TAIL_PLACE_SECONDS", 10.0)
    cache = await process()
    inside, seen = 0, []

    async def make() -> Entry:
        nonlocal inside
        inside += 1
        seen.append(inside)
        await asyncio.sleep(0.01)
        inside -= 1
        return Entry.of(b"[]")

    keys = [Key(f"courses?page={number}", long_tail=long_tail) for number in range(30)]
    await asyncio.gather(*(cache.get(key, make) for key in keys))
    assert (max(seen), len(seen)) == (most, 30)


async def test_what_is_rare_and_slow_holds_up_nothing_else(patience, process, truth, monkeypatch):
    monkeypatch.setattr("infra.cache.filler.LONG_TAIL_PLACE_SECONDS", 2 * PLACE_SECONDS)
    cache = await process()
    making = 0
    never = asyncio.Event()

    async def hang() -> Entry:
        nonlocal making
        making += 1
        await never.wait()
        return Entry.of(b"[]")

    rare = [Key(f"courses?page={number}", long_tail=True) for number in range(10)]
    searching = [asyncio.create_task(cache.get(key, hang)) for key in rare]
    await asyncio.sleep(0.05)
    started = time.monotonic()
    assert await _read(cache, truth) == 0
    assert time.monotonic() - started < PLACE_SECONDS
    limited = Key("courses?search=another", long_tail=True, limits_itself=True)
    assert (await cache.get(limited, truth)).body == b"0"
    assert time.monotonic() - started < PLACE_SECONDS
    # The bound holds however long they wait: those without a place are refused.
    await asyncio.wait(searching, timeout=10 * PLACE_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
    await asyncio.sleep(PLACE_SECONDS)
    assert making == LONG_TAIL_FILLS
    never.set()
    made = await asyncio.gather(*searching, return_exceptions=True)
    assert sum(isinstance(each, TooManyFills) for each in made) == 10 - LONG_TAIL_FILLS


@pytest.mark.parametrize("forgets", [False, True])
async def test_many_processes_ask_once(patience, process, truth, redis, forgets):
    caches = [await process() for _ in range(4)]
    for cache in caches:
        await _kept(cache, truth)
    await caches[0].publish(await truth.write(1))
    if forgets:
        await redis.flushall()
    for cache in caches:
        await eventually(lambda cache=cache: asyncio.sleep(0, not len(cache.memory)), within=1)
    truth.asked, truth.seconds = 0, 0.05
    reads = (_read(cache, truth) for cache in caches for _ in range(5))
    assert await asyncio.gather(*reads) == [1] * 20
    assert truth.asked == 1


async def test_a_redis_that_forgets_costs_no_process_its_memory(patience, process, truth, redis):
    cache = await process()
    await _kept(cache, truth)
    await redis.flushall()
    await asyncio.sleep(TRUST_SECONDS)
    assert await _read(cache, truth) == 0
    assert truth.asked == 1


@pytest.mark.parametrize("is_worker", [False, True])
async def test_a_fill_that_fails_leaves_the_lock_to_the_next(patience, process, truth, is_worker):
    one = await process(follows=False, memory_bytes=0) if is_worker else await process()
    other = await process()

    async def fail() -> Entry:
        raise LookupError

    with pytest.raises(LookupError):
        await one.get(LIST, fail)
    started = time.monotonic()
    await asyncio.sleep(0.05)
    assert await _read(other, truth) == 0
    # `patience` has each process wait for the fill of another for as long as that may last.
    assert time.monotonic() - started < 1


async def test_a_worker_fills_nothing_that_a_server_process_is_filling(patience, process, truth):
    one, worker = await process(), await process(memory_bytes=0)
    truth.seconds = 0.2
    making = asyncio.create_task(_read(one, truth))
    await asyncio.sleep(0.1)
    assert await _read(worker, truth) == await making == 0
    assert truth.asked == 1


async def test_the_writer_reads_its_write_at_once_and_the_others_soon(patience, process, truth):
    one, other = await process(), await process()
    for number in range(1, 50):
        await _kept(one, truth)
        await _kept(other, truth)
        await one.publish(await truth.write(number))
        assert await _read(one, truth) == number
        await _shows(other, truth, number)


async def test_processes_of_one_instance_read_each_others_writes_at_once(patience, process, truth):
    memory = ChangeRing()
    one, other = await process(memory), await process(memory)
    for number in range(1, 200):
        await _kept(other, truth)
        other.memory.remember(TARGET, LIST.name)
        await one.publish(await truth.write(number))
        assert other.find(TARGET) is None
        assert await _read(other, truth) == number


async def test_they_do_while_the_database_is_too_busy_for_a_poll(process, truth):
    memory = ChangeRing()
    one, other = await process(memory), await process(memory)
    await _kept(other, truth)
    other.memory.remember(TARGET, LIST.name)
    changes = await truth.write(1)
    other.trust.until = float("inf")
    await one.publish(changes)
    assert other.find(TARGET) is None


async def test_more_writes_than_the_ring_holds_empty_memory(patience, process, truth):
    memory = ChangeRing()
    one, other = await process(memory), await process(memory)
    await _kept(other, truth)
    changes = await truth.write(1)
    await one.publish(changes * 300)
    assert await _read(other, truth) == 1
    await _kept(other, truth)


async def test_a_touch_makes_old_what_shows_the_thing_and_nothing_else(patience, process, truth):
    memory = ChangeRing()
    one, sibling, other = await process(memory), await process(memory), await process()
    showing = Key("courses?page=1", lock_on_fill=True)
    without = Key("courses?page=2", lock_on_fill=True)
    made = Counter()

    def make(key):
        async def ask() -> Entry:
            made[key] += 1
            shown = ID if key is showing else OTHER
            return await truth.read(
                lambda row: f'[{{"id":"{shown}","image":{row["image"]}}}]'.encode()
            )

        return ask

    async def image(cache) -> bytes:
        return (await cache.get(showing, make(showing))).body

    for number in range(1, 50):
        for cache in (one, sibling, other):
            for key in (showing, without):
                await _kept(cache, make(key), key)
            await _kept(cache, truth, COURSE)
        asked = truth.asked
        await one.publish(await truth.write(number, "image_url"))
        for cache in (one, sibling):
            assert f":{number}}}".encode() in await image(cache)
        assert await _read(one, truth, COURSE) == 0
        assert truth.asked == asked + 2

        async def has_heard(number=number) -> bool:
            return f":{number}}}".encode() in await image(other)

        await eventually(has_heard, within=TRUST_SECONDS)
    assert made[without] == 1
    assert made[showing] < 2 * 50


@pytest.mark.parametrize("field", ["title", "image_url"])
async def test_a_fill_that_a_change_overtakes_is_not_kept_nor_joined(
    patience, process, truth, field
):
    cache, other = await process(), await process()

    async def make() -> Entry:
        return await truth.read(lambda row: f"{ID} {row['title']} {row['image']}".encode())

    truth.seconds = 0.2
    old = asyncio.create_task(cache.get(LIST, make))
    await asyncio.sleep(0.1)
    await cache.publish(await truth.write(1, field))
    for each in (cache, other):
        assert b"1" in (await each.get(LIST, make)).body[len(ID) :]
    assert b"1" not in (await old).body[len(ID) :]
    for each in (cache, other):
        assert b"1" in (await each.get(LIST, make)).body[len(ID) :]


def _part(truth, alone=None) -> Slice:
    """Return one that is ten times its block."""

    def cut(block: Entry) -> Entry:
        return Entry.of(b"%d" % (int(block.body) * 10), version=block.version)

    return Slice(PART, BLOCK, truth, cut, alone or truth)


async def test_a_slice_is_cut_from_what_another_process_filled(patience, process, truth, redis):
    await truth.write(7)
    one, other, worker = await process(), await process(), await process(memory_bytes=0)
    await _kept(one, truth, BLOCK)
    for cache in (one, other, other, worker):
        assert (await cache.slice(_part(truth))).body == b"70"
    assert truth.asked == 1
    assert (other.counts.redis, other.counts.memory) == (1, 1)
    assert [name async for name in redis.scan_iter("*:e:*")] == [
        name async for name in redis.scan_iter("*block")
    ]


async def test_a_slice_lasts_no_longer_than_its_block(patience, process, truth):
    cache = await process()
    await _kept(cache, truth, BLOCK)
    await cache.slice(_part(truth))
    assert cache.memory.get("part").expires == cache.memory.get("block").expires

    await cache.publish(await truth.write(1))
    assert (await cache.slice(_part(truth))).body == b"10"


async def test_a_slice_of_what_a_change_overtakes_is_not_kept(patience, process, truth):
    cache = await process()
    truth.seconds = 0.2
    old = asyncio.create_task(cache.slice(_part(truth)))
    await asyncio.sleep(0.1)
    await cache.publish(await truth.write(1))
    assert (await cache.slice(_part(truth))).body == b"10"
    assert (await old).body == b"0"
    assert (await cache.slice(_part(truth))).body == b"10"


class Head(NamedTuple):
    """What is sent before a slice."""

    digest: str
    size: int = 100

    def renewed(self, entry: Entry) -> Head:
        return Head(entry.digest)


async def test_the_index_cuts_again_what_a_change_made_old(patience, process, truth):
    cache = await process()
    part = _part(truth)
    await cache.slice(part)
    cache.memory.remember(TARGET, PART.name)
    cache.memory.targets[TARGET].entry.prepared = Head((await cache.slice(part)).digest)
    assert cache.memory.recut(TARGET) is None  # `get` finds it

    await cache.publish(await truth.write(3))
    assert (cache.find(TARGET), cache.memory.recut(TARGET)) == (None, None)
    await _kept(cache, truth, BLOCK)
    assert cache.find(TARGET) is None
    slot = cache.memory.recut(TARGET)
    assert slot.entry.body == b"30"
    assert slot.entry.prepared == Head(slot.entry.digest)
    assert slot is cache.find(TARGET)
    assert slot.expires == cache.memory.get("block").expires

    await cache.publish(await truth.write(4))
    assert cache.memory.recut(TARGET) is None


async def test_a_process_that_caches_nothing_makes_the_slice_alone(process, truth):
    alone = Catalogue(truth.pool, truth.url)
    cache = await process(url="memory://", memory_bytes=0)
    assert (await cache.slice(_part(truth, alone))).body == b"0"
    assert (truth.asked, alone.asked) == (0, 1)


async def test_what_is_soon_another_is_not_kept(patience, process, redis):
    cache = await process()
    asked = 0

    async def make() -> Entry:
        nonlocal asked
        asked += 1
        entry = Entry.of(b"processing")
        entry.no_store = True
        return entry

    for _ in range(3):
        await cache.get(COURSE, make)
    assert asked == 3
    assert await redis.keys("*:e:*") == []


async def test_a_failure_to_fill_reaches_all_who_asked_and_is_not_kept(patience, process, truth):
    cache = await process()

    async def fail() -> Entry:
        await asyncio.sleep(0.01)
        raise LookupError

    answers = await asyncio.gather(
        *(cache.get(LIST, fail) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [LookupError] * 3
    assert await _read(cache, truth) == 0


async def test_a_reader_that_leaves_during_a_fill_takes_it_from_no_other(patience, process, truth):
    cache = await process()
    truth.seconds = 0.05
    leaving = asyncio.create_task(_read(cache, truth))
    staying = asyncio.create_task(_read(cache, truth))
    await asyncio.sleep(0.02)
    leaving.cancel()
    assert await staying == 0
    assert truth.asked == 1


async def test_the_index_finds_what_was_remembered_while_it_is_true(patience, process, truth):
    one, other = await process(), await process()
    await _kept(one, truth)
    assert one.find(TARGET) is None
    one.memory.remember(TARGET, LIST.name)
    read = one.counts.memory
    assert one.find(TARGET).entry.body == b"0"
    assert one.counts.memory == read
    one.count(one.find(TARGET))
    assert one.counts.memory == read + 1
    await other.publish(await truth.write(1))
    await eventually(lambda: asyncio.sleep(0, one.find(TARGET) is None), within=TRUST_SECONDS)


FEEDS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND query LIKE '%FROM catalogue_changes WHERE version > $1%'
"""


async def test_a_feed_that_is_cut_costs_nothing(process, truth):
    one, other = await process(), await process()
    await _kept(one, truth)
    assert len(await truth.pool.fetch(FEEDS)) == 2
    assert await _read(one, truth) == 0
    assert truth.asked == 1
    await other.publish(await truth.write(1))
    assert await _read(other, truth) == 1
    await _shows(one, truth, 1)
    await _kept(one, truth)


async def test_a_restarted_redis_is_used_again_and_costs_no_memory(process, truth, server, redis):
    one, other = await process(), await process()
    await _kept(one, truth)
    await server.stop("cache")
    await other.publish(await truth.write(1))
    assert await _read(other, truth) == 1
    await asyncio.sleep(TRUST_SECONDS)
    assert await _read(one, truth) == 1
    await server.start("cache")
    for number in range(2, 5):
        await other.publish(await truth.write(number))
        assert await _read(other, truth) == number

    async def is_used_again() -> bool:
        nonlocal number
        number += 1
        before = one.counts.redis
        await other.publish(await truth.write(number))
        await _read(other, truth)
        await _shows(one, truth, number)
        return one.counts.redis > before

    await eventually(is_used_again, within=5)


async def test_a_redis_that_sleeps_through_a_write_wakes_with_the_past_and_is_not_believed(
    process, truth, redis
):
    memory = ChangeRing()
    caches = writer, sibling, stranger = (
        await process(memory),
        await process(memory),
        await process(),
    )
    for cache in caches:
        await _kept(cache, truth)
    with frozen((await redis.info("server"))["process_id"]):
        await writer.publish(await truth.write(1))
        assert await _read(writer, truth) == 1
        assert await _read(sibling, truth) == 1
        await _shows(stranger, truth, 1)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert [await _read(each, truth) for each in caches] == [1] * 3
        for cache in caches:
            cache.memory.clear()
        await asyncio.sleep(0.002)


async def test_a_frozen_redis_does_not_hold_up_reads(process, truth, redis):
    cache = await process()
    await _kept(cache, truth)
    times = []
    with frozen((await redis.info("server"))["process_id"]):
        for number in range(1, 21):
            await cache.publish(await truth.write(number))
            for _ in range(20):
                started = time.perf_counter()
                assert await _read(cache, truth) == number
                times.append(time.perf_counter() - started)
                await asyncio.sleep(0.002)
    times.sort()
    assert times[int(len(times) * 0.95)] < 0.1
    assert times[-1] < 0.5
    assert cache.counts.errors > 0
    assert truth.asked <= 22


@pytest.mark.parametrize("second", ["redis://127.0.0.1:1/0", "memory://"])
async def test_without_redis_memory_is_as_true(process, truth, second):
    memory = ChangeRing()
    one, sibling, other = [await process(shared, url=second) for shared in (memory, memory, None)]
    for number in range(1, 10):
        for cache in (one, sibling, other):
            await _kept(cache, truth)
        await one.publish(await truth.write(number))
        assert await _read(one, truth) == await _read(sibling, truth) == number
        await _shows(other, truth, number)
    assert await (await process(url="memory://")).level.top(3) == []


async def test_what_is_read_most_is_told_to_all(patience, process, truth, redis, monkeypatch):
    monkeypatch.setattr("infra.cache.response_cache.COUNT_SECONDS", 0.05)
    one, other = await process(), await process()
    await _kept(one, truth)
    await _kept(other, truth, COURSE)
    one.memory.remember(TARGET, LIST.name)
    for _ in range(50):
        one.count(one.find(TARGET))

    async def is_told() -> bool:
        return await redis.zrevrange("enroll:reads", 0, -1) == [b"courses", b"course:1"]

    await eventually(is_told, within=5)
    assert await other.level.top(1) == ["courses"]


async def test_a_gap_in_the_history_empties_memory_and_says_so(patience, process, truth):
    cache = await process()
    await _kept(cache, truth)
    cache.emptied.clear()
    async with truth.pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE courses SET title = '1'")
        await connection.fetch("SELECT * FROM catalogue_changes_now()")
        await connection.execute("DELETE FROM catalogue_changes")
    await _shows(cache, truth, 1)
    assert cache.emptied.is_set()
    await _kept(cache, truth)


async def test_a_process_that_starts_uses_what_others_filled(patience, process, truth):
    one = await process()
    for number in range(1, 5):
        await one.publish(await truth.write(number))
        assert await _read(one, truth) == number
        # What was filled before nothing changed, and what was filled after it.
        await one.publish(await truth.write(number, "image_url"))
        await _read(one, truth, COURSE)
    truth.asked = 0
    late = await process()
    assert await _read(late, truth) == await _read(late, truth, COURSE) == 4
    assert truth.asked == 0


async def test_an_entry_of_a_database_that_lost_its_latest_changes_is_not_used(
    patience, process, truth, redis
):
    one = await process()
    await one.publish(await truth.write(1))
    await _kept(one, truth)
    lost = await truth.pool.fetchval("SELECT version FROM catalogue_version")
    # As after a failover to a server that had not got the write yet.
    await truth.pool.execute("DELETE FROM catalogue_changes WHERE version = $1", lost)
    await truth.pool.execute(
        "UPDATE catalogue_version SET version = (SELECT max(version) FROM catalogue_changes)"
    )
    await truth.pool.execute("ALTER TABLE courses DISABLE TRIGGER USER")
    await truth.pool.execute("UPDATE courses SET title = '0'")
    await truth.pool.execute("ALTER TABLE courses ENABLE TRIGGER USER")
    await truth.write(5, "image_url")
    for cache in (one, await process()):
        await _shows(cache, truth, 0)


async def test_while_polls_are_late_memory_is_served_as_stale_and_then_no_more(
    process, truth, monkeypatch
):
    monkeypatch.setattr("infra.cache.response_cache.LATE_FILL_SECONDS", 0.3)
    cache = await process(stale_seconds=3)
    await _kept(cache, truth)
    cache.memory.remember(TARGET, LIST.name)
    async with truth.pool.acquire() as holder, holder.transaction():
        # Neither a poll nor a fill can be answered.
        await holder.execute("LOCK TABLE catalogue_version IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(TRUST_SECONDS)
        assert cache.find(TARGET) is None
        await cache.get(LIST, truth)
        times = []
        for _ in range(100):
            started = time.perf_counter()
            stale = await cache.get(LIST, truth)
            times.append(time.perf_counter() - started)
            assert (stale.body, stale.stale_seconds > TRUST_SECONDS) == (b"0", True)
        assert max(times) < 0.05
        assert (cache.counts.stale, truth.asked) == (101, 1)
        await asyncio.sleep(3)
        started = time.perf_counter()
        with pytest.raises(TimeoutError):
            await cache.get(LIST, truth)
        assert time.perf_counter() - started < 1
    await _kept(cache, truth)
    assert (await cache.get(LIST, truth)).stale_seconds is None


async def test_a_slow_fill_goes_on_for_later_readers(process, truth, monkeypatch):
    monkeypatch.setattr("infra.cache.response_cache.LATE_FILL_SECONDS", 0.2)
    cache = await process()
    # Its polls are late, as those of a process that has too little of the processor.
    monkeypatch.setattr(cache, "follow", lambda *_: None)
    await asyncio.sleep(TRUST_SECONDS)
    truth.seconds = 0.8
    failed = 0
    while True:
        try:
            entry = await cache.get(LIST, truth)
        except TimeoutError:
            failed += 1
            assert failed < 5
        else:
            break
    assert (entry.body, truth.asked) == (b"0", 1)
    assert failed > 0


async def test_a_process_behind_its_siblings_drops_its_lists(patience, process, truth, monkeypatch):
    memory = ChangeRing()
    one, other = await process(memory), await process(memory)
    await _kept(other, truth)
    await _kept(other, truth, COURSE)
    # Its polls find no more: as those of a connection that hangs.
    monkeypatch.setattr(other, "follow", lambda *_: None)
    await truth.write(1)
    await _shows(one, truth, 1)

    async def has_dropped() -> bool:
        return other.memory.get(LIST.name) is None

    await eventually(has_dropped, within=2)
    assert other.memory.get(COURSE.name)
