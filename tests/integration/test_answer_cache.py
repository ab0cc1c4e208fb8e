"""What the cache of server processes promises, over a real Redis that is also mistreated."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import aclosing, contextmanager
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from infra.cache import AnswerCache, Entry, Key, Outpost, Piece, Shared, masked, open_store
from infra.cache.answers import (
    DISTRUST_SECONDS,
    MAKERS,
    MAKERS_OF_RARE,
    PLACE_SECONDS,
    TooManyFills,
)
from infra.cache.link import BEAT_SECONDS, SURE_SECONDS
from infra.cache.store import PROMISE_SECONDS
from tests.factories import eventually

KEY = Key("courses", "courses", slow=True)
COURSE = Key("course:1", "course:1")
WHOLE = Key("whole", "courses", slow=True, lists=True)
PIECE = Key("piece", "courses", lists=True)
TARGET = b"/api/v1/courses"


class Truth:
    """What a database would say: a number that changes, how often it was asked, and how long."""

    def __init__(self) -> None:
        self.number = 0
        self.asked = 0
        self.seconds = 0.0

    async def __call__(self) -> Entry:
        self.asked += 1
        number = self.number
        await asyncio.sleep(self.seconds)
        return Entry.of(str(number).encode())


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


@pytest.fixture
def patience(monkeypatch):
    """Take a machine that runs other tests as well for slow, not for broken."""
    monkeypatch.setattr("infra.cache.redis.TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr("infra.cache.link.ANSWER_SECONDS", 2.0)
    monkeypatch.setattr("infra.cache.link.BROKEN_SECONDS", 5.0)
    monkeypatch.setattr("infra.cache.answers.START_SECONDS", 10.0)
    monkeypatch.setattr("infra.cache.answers.WAIT_SECONDS", 5.0)


@pytest.fixture
async def process(server, redis):
    """Make a server process's cache, started and linked."""
    started = []

    async def make(shared: Shared | None = None, *, owed=(), url=None) -> AnswerCache:
        async def tell_owed():
            return owed

        cache = AnswerCache(
            open_store(url or server.environment["CACHE_URL"]),
            memory_bytes=1_000_000,
            shared=shared,
            owed=tell_owed,
        )
        started.append(cache)
        await cache.start()
        return cache

    yield make
    for cache in started:
        await cache.close()


@pytest.fixture
def truth():
    return Truth()


@contextmanager
def frozen(pid: int):
    """Stop a process from doing anything; its sockets still take connections and bytes."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _read(cache, truth, key=KEY) -> int:
    return int((await cache.get(key, truth)).body)


async def _kept(cache, truth, key=KEY) -> None:
    """Read until the answer comes from memory."""

    async def prewarm() -> bool:
        before = cache.counts.memory
        await cache.get(key, truth)
        return cache.counts.memory > before

    await eventually(prewarm, within=5)


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


@pytest.mark.parametrize(("rare", "most"), [(False, MAKERS), (True, MAKERS_OF_RARE)])
async def test_a_process_makes_only_few_answers_at_once(patience, process, rare, most, monkeypatch):
    monkeypatch.setattr("infra.cache.answers.PLACE_SECONDS", 10.0)
    monkeypatch.setattr("infra.cache.answers.PLACE_SECONDS_OF_RARE", 10.0)
    cache = await process()
    inside, seen = 0, []

    async def make() -> Entry:
        nonlocal inside
        inside += 1
        seen.append(inside)
        await asyncio.sleep(0.01)
        inside -= 1
        return Entry.of(b"[]")

    keys = [Key(f"courses?page={number}", "courses", rare=rare) for number in range(30)]
    await asyncio.gather(*(cache.get(key, make) for key in keys))
    assert (max(seen), len(seen)) == (most, 30)


async def test_what_is_rare_and_slow_holds_up_nothing_else(patience, process, truth, monkeypatch):
    monkeypatch.setattr("infra.cache.answers.PLACE_SECONDS_OF_RARE", 2 * PLACE_SECONDS)
    cache = await process()
    making = 0
    never = asyncio.Event()

    async def hang() -> Entry:
        nonlocal making
        making += 1
        await never.wait()
        return Entry.of(b"[]")

    rare = [Key(f"courses?page={number}", "courses", rare=True) for number in range(10)]
    searching = [asyncio.create_task(cache.get(key, hang)) for key in rare]
    await asyncio.sleep(0.05)
    started = time.monotonic()
    assert await _read(cache, truth) == 0
    assert time.monotonic() - started < PLACE_SECONDS
    slotted = Key("courses?search=another", "searches", rare=True, slotted=True)
    assert (await cache.get(slotted, truth)).body == b"0"
    assert time.monotonic() - started < PLACE_SECONDS
    # The bound holds however long they wait: those without a place are refused.
    await asyncio.wait(searching, timeout=10 * PLACE_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
    await asyncio.sleep(PLACE_SECONDS)
    assert making == MAKERS_OF_RARE
    never.set()
    made = await asyncio.gather(*searching, return_exceptions=True)
    assert sum(isinstance(each, TooManyFills) for each in made) == 10 - MAKERS_OF_RARE


async def test_many_processes_ask_once(patience, process, truth):
    caches = [await process() for _ in range(4)]
    await caches[0].changed("courses")
    await asyncio.sleep(0.02)
    truth.seconds = 0.05
    assert await asyncio.gather(*(_read(cache, truth) for cache in caches)) == [0] * 4
    assert truth.asked == 1


async def test_many_processes_ask_once_after_redis_forgot_everything(
    patience, process, truth, redis
):
    caches = [await process() for _ in range(4)]
    for cache in caches:
        await _kept(cache, truth)
    await redis.flushall()

    async def have_heard() -> bool:
        return not any(len(cache.memory) for cache in caches)

    await eventually(have_heard, within=1)
    truth.asked, truth.seconds = 0, 0.05
    reads = (_read(cache, truth) for cache in caches for _ in range(5))
    assert await asyncio.gather(*reads) == [0] * 20
    assert truth.asked == 1


async def test_who_fails_to_make_it_leaves_the_turn_to_the_next(patience, process, truth):
    one, other = await process(), await process()
    await one.changed("courses")

    async def fail() -> Entry:
        raise LookupError

    with pytest.raises(LookupError):
        await one.get(KEY, fail)
    started = time.monotonic()
    await asyncio.sleep(0.05)
    assert await _read(other, truth) == 0
    # `patience` has everybody wait for the turn of another for as long as that may last.
    assert time.monotonic() - started < 1


async def test_a_worker_makes_nothing_that_a_server_process_is_making(
    patience, process, truth, server
):
    one, outpost = await process(), Outpost(open_store(server.environment["CACHE_URL"]))
    await one.changed("courses")
    truth.seconds = 0.2
    making = asyncio.create_task(_read(one, truth))
    await asyncio.sleep(0.1)
    assert await _read(outpost, truth) == await making == 0
    assert truth.asked == 1
    await outpost.close()


async def test_a_worker_that_fails_to_make_it_leaves_the_turn_to_the_next(
    patience, process, truth, server
):
    one, outpost = await process(), Outpost(open_store(server.environment["CACHE_URL"]))
    await one.changed("courses")

    async def fail() -> Entry:
        raise LookupError

    with pytest.raises(LookupError):
        await outpost.get(KEY, fail)
    await outpost.close()
    started = time.monotonic()
    assert await _read(one, truth) == 0
    assert time.monotonic() - started < 1


async def test_the_writer_reads_its_write_at_once_and_the_others_soon(patience, process, truth):
    one, other = await process(), await process()
    for number in range(1, 50):
        await _kept(one, truth)
        await _kept(other, truth)
        truth.number = number
        await one.changed("courses")
        assert await _read(one, truth) == number

        async def has_heard(number=number) -> bool:
            return await _read(other, truth) == number

        await eventually(has_heard, within=SURE_SECONDS)


async def test_processes_of_one_instance_read_each_others_writes_at_once(
    patience, process, truth, tmp_path
):
    memory = Shared()
    one, other = await process(memory), await process(memory)
    for number in range(1, 200):
        await _kept(other, truth)
        other.remember(TARGET, KEY)
        truth.number = number
        await one.changed("courses")
        hot = other.hot.get(TARGET)
        assert hot is None
        assert await _read(other, truth) == number


async def test_a_touch_makes_old_what_shows_the_thing_and_nothing_else(
    patience, process, truth, tmp_path
):
    memory = Shared()
    one, sibling, other = (
        await process(memory),
        await process(memory),
        await process(),
    )
    showing = Key("courses?page=1", "courses", slow=True, lists=True)
    without = Key("courses?page=2", "courses", slow=True, lists=True)
    made = Counter()

    def make(key):
        async def ask() -> Entry:
            made[key] += 1
            shown = "1" if key is showing else "2"
            return Entry.of(f'[{{"id":"{shown}","image":{truth.number}}}]'.encode())

        return ask

    for number in range(1, 50):
        for cache in (one, sibling, other):
            for key in (showing, without):
                await _kept(cache, make(key), key)
            await _kept(cache, truth, COURSE)
        truth.number = number
        await one.touched("course:1", "courses")
        for cache in (one, sibling):
            assert f":{number}}}".encode() in (await cache.get(showing, make(showing))).body
            assert await _read(cache, truth, COURSE) == number

        async def has_heard(number=number) -> bool:
            return f":{number}}}".encode() in (await other.get(showing, make(showing))).body

        await eventually(has_heard, within=SURE_SECONDS)
    assert made[without] == 1
    assert made[showing] < 2 * 50


async def test_a_mask_leaves_what_it_does_not_pick_to_all(patience, process, truth, tmp_path):
    memory = Shared()
    caches = [await process(memory), await process(memory), await process()]
    one, _, other = caches
    concerned = Key("searches?1", "searches", slow=True, lists=True, bit=1)
    spared = Key("searches?2", "searches", slow=True, lists=True, bit=2)
    asked = Truth()
    for number in range(1, 20):
        for cache in caches:
            await _kept(cache, truth, concerned)
            await _kept(cache, asked, spared)
        truth.number = number
        await one.changed("courses", masked("searches", [1, 7]), "course:1")
        for cache in caches[:2]:
            assert await _read(cache, truth, concerned) == number

        async def has_heard(number=number) -> bool:
            return await _read(other, truth, concerned) == number

        await eventually(has_heard, within=SURE_SECONDS)
    assert asked.asked == 1


@pytest.mark.parametrize(("bit", "seen"), [(1, 1), (2, 0), (None, 1)])
async def test_a_fill_that_a_mask_overtakes_is_kept_if_it_is_not_picked(
    patience, process, truth, bit, seen
):
    alone, other = await process(), await process()
    key = Key(f"searches?{bit}", "searches", slow=True, lists=True, bit=bit)
    truth.seconds = 0.2
    filling = asyncio.create_task(_read(other, truth, key))
    await asyncio.sleep(0.1)
    truth.number = 1
    await alone.changed(masked("searches", [1]))
    assert await filling == 0
    assert await _read(other, truth, key) == seen


async def test_a_fill_that_a_touch_overtakes_is_not_kept(patience, process, truth):
    cache, other = await process(), await process()
    key = Key("courses?page=1", "courses", slow=True, lists=True)

    async def make() -> Entry:
        number = truth.number
        await asyncio.sleep(0.1)
        return Entry.of(f'[{{"id":"1","image":{number}}}]'.encode())

    old = asyncio.create_task(cache.get(key, make))
    await asyncio.sleep(0.05)
    truth.number = 1
    await cache.touched("course:1", "courses")
    assert b":1}" in (await cache.get(key, make)).body
    assert b":0}" in (await old).body
    for each in (cache, other):
        assert b":1}" in (await each.get(key, make)).body


async def test_what_is_read_is_made_anew_before_a_change_is_announced(patience, process, truth):
    one, other = await process(), await process()
    await _kept(one, truth)
    await _kept(other, truth)
    truth.number, truth.seconds = 1, 0.1
    asked = truth.asked
    writing = asyncio.create_task(one.changed("courses"))
    await asyncio.sleep(0.05)
    assert await _read(one, truth) == await _read(other, truth) == 0
    await writing
    assert await _read(one, truth) == 1
    await eventually(lambda: _reads(other, truth, 1), within=1)
    assert truth.asked == asked + 1


async def _reads(cache, truth, number) -> bool:
    return await _read(cache, truth) == number


async def test_what_another_change_overtakes_is_not_handed_over(patience, process, truth):
    one, other = await process(), await process()
    await _kept(one, truth)
    truth.number, truth.seconds = 1, 0.1
    writing = asyncio.create_task(one.changed("courses"))
    await asyncio.sleep(0.05)
    truth.number = 2
    await other.changed("courses")
    await writing
    assert await _read(one, truth) == await _read(other, truth) == 2


@pytest.mark.parametrize("seconds", [0.0, 10.0])
async def test_what_can_not_be_made_anew_holds_up_no_change_for_long(
    patience, process, truth, seconds, monkeypatch
):
    monkeypatch.setattr("infra.cache.answers.PREPARE_SECONDS", 0.1)
    cache = await process()

    async def make():
        if cache.counts.invalidations:
            await asyncio.sleep(seconds)
            raise LookupError
        return Entry.of(b"0")

    await _kept(cache, make)
    truth.number = 1
    began = time.monotonic()
    await cache.changed("courses")
    assert time.monotonic() - began < 1
    assert await _read(cache, truth) == 1


async def test_whoever_announces_for_a_writer_waits_for_one_that_makes_answers(
    patience, server, process, truth
):
    worker = Outpost(open_store(server.environment["CACHE_URL"]))
    cache = await process()
    await _kept(cache, truth)
    truth.seconds = 0.2
    writing = asyncio.create_task(cache.changed("courses", mark="7"))
    await asyncio.sleep(0.1)
    assert await worker.is_announced("7")
    assert writing.done()
    assert not await worker.is_announced("8")
    began = time.monotonic()
    await worker.store.promise("9")
    assert not await worker.is_announced("9")
    assert time.monotonic() - began < PROMISE_SECONDS + 0.5
    await worker.close()


async def test_a_fill_that_a_change_overtakes_is_not_kept_nor_joined(patience, process, truth):
    cache = await process()
    await cache.changed("courses")
    truth.seconds = 0.1
    old = asyncio.create_task(_read(cache, truth))
    await asyncio.sleep(0.05)
    truth.number = 1
    await cache.changed("courses")
    assert await _read(cache, truth) == 1
    assert await old == 0
    assert await _read(cache, truth) == 1


def _piece(truth, alone=None) -> Piece:
    """Return one that is ten times its whole."""

    def cut(whole: Entry) -> Entry:
        return Entry.of(b"%d" % (int(whole.body) * 10))

    return Piece(PIECE, WHOLE, truth, cut, alone or truth)


async def test_a_piece_is_cut_from_what_another_process_made(patience, process, truth, redis):
    truth.number = 7
    one, other = await process(), await process()
    await _kept(one, truth, WHOLE)
    for cache in (one, other, other):
        assert (await cache.cut(_piece(truth))).body == b"70"
    assert truth.asked == 1
    assert (other.counts.redis, other.counts.memory) == (1, 1)
    assert [name async for name in redis.scan_iter("*:a:*")] == [
        name async for name in redis.scan_iter("*whole")
    ]


async def test_a_piece_lasts_no_longer_than_its_whole(patience, process, truth):
    cache = await process()
    await _kept(cache, truth, WHOLE)
    await cache.cut(_piece(truth))
    assert cache.memory.get("piece").expires == cache.memory.get("whole").expires

    truth.number = 1
    await cache.changed("courses")
    assert (await cache.cut(_piece(truth))).body == b"10"


async def test_a_piece_of_what_a_change_overtakes_is_not_kept(patience, process, truth):
    cache = await process()
    truth.seconds = 0.2
    old = asyncio.create_task(cache.cut(_piece(truth)))
    await asyncio.sleep(0.1)
    truth.number = 1
    await cache.changed("courses")
    assert (await cache.cut(_piece(truth))).body == b"10"
    assert (await old).body == b"0"
    assert (await cache.cut(_piece(truth))).body == b"10"


class Head(NamedTuple):
    """What is sent before a piece."""

    digest: str
    size: int = 100

    def renewed(self, entry: Entry) -> Head:
        return Head(entry.digest)


async def test_the_hot_path_cuts_again_what_a_change_made_old(patience, process, truth):
    cache = await process()
    piece = _piece(truth)
    await eventually(lambda: _is_cut(cache, piece))
    cache.remember(TARGET, PIECE)
    cache.memory.targets[TARGET].entry.prepared = Head((await cache.cut(piece)).digest)
    assert cache.hot.cut(TARGET) is None  # `get` finds it

    truth.number = 3
    await cache.changed("courses")
    assert (cache.hot.get(TARGET), cache.hot.cut(TARGET)) == (None, None)
    await _kept(cache, truth, WHOLE)
    assert cache.hot.get(TARGET) is None
    slot = cache.hot.cut(TARGET)
    assert slot.entry.body == b"30"
    assert slot.entry.prepared == Head(slot.entry.digest)
    assert slot is cache.hot.get(TARGET)
    assert slot.expires == cache.memory.get("whole").expires

    await cache.changed("courses")
    assert cache.hot.cut(TARGET) is None


async def _is_cut(cache, piece) -> bool:
    await cache.cut(piece)
    return cache.memory.get("piece") is not None


async def test_who_keeps_nothing_makes_the_piece_alone(truth):
    alone = Truth()
    cache = AnswerCache(open_store("memory://"), memory_bytes=0, owed=lambda: None)
    assert (await cache.cut(_piece(truth, alone))).body == b"0"
    assert (truth.asked, alone.asked) == (0, 1)


async def test_a_worker_cuts_and_stores_the_whole(patience, server, process, truth):
    truth.number = 3
    worker = Outpost(open_store(server.environment["CACHE_URL"]))
    assert (await worker.cut(_piece(truth))).body == b"30"
    assert (await (await process()).cut(_piece(truth))).body == b"30"
    assert truth.asked == 1
    await worker.close()


async def test_what_is_soon_another_is_not_kept(patience, process):
    cache = await process()
    asked = 0

    async def make() -> Entry:
        nonlocal asked
        asked += 1
        return Entry.of(b"processing", fleeting=True)

    for _ in range(3):
        await cache.get(COURSE, make)
    assert asked == 3


async def test_a_failure_to_make_it_reaches_all_who_asked_and_is_not_kept(patience, process, truth):
    cache = await process()

    async def fail() -> Entry:
        await asyncio.sleep(0.01)
        raise LookupError

    answers = await asyncio.gather(
        *(cache.get(KEY, fail) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [LookupError] * 3
    assert await _read(cache, truth) == 0


async def test_who_leaves_while_it_is_made_takes_it_from_nobody(patience, process, truth):
    cache = await process()
    truth.seconds = 0.05
    leaving = asyncio.create_task(_read(cache, truth))
    staying = asyncio.create_task(_read(cache, truth))
    await asyncio.sleep(0.02)
    leaving.cancel()
    assert await staying == 0
    assert truth.asked == 1


async def test_the_hot_path_finds_what_was_remembered_while_it_is_true(patience, process, truth):
    one, other = await process(), await process()
    await _kept(one, truth)
    assert one.hot.get(TARGET) is None
    one.remember(TARGET, KEY)
    assert one.hot.get(TARGET).entry.body == b"0"
    assert one.hot.hits == 0
    one.hot.count(one.hot.get(TARGET))
    assert one.hot.hits == 1
    await other.changed("courses")

    async def has_heard() -> bool:
        return one.hot.get(TARGET) is None

    await eventually(has_heard, within=SURE_SECONDS)


async def test_flushing_redis_flushes_memory(patience, process, truth, redis):
    cache = await process()
    await _kept(cache, truth)
    await redis.flushall()

    async def is_empty() -> bool:
        return len(cache.memory) == 0

    await eventually(is_empty, within=1)


async def _kill_links(redis) -> int:
    """Cut every connection that hears of changes."""
    links = [each for each in await redis.client_list() if "t" in each["flags"]]
    for each in links:
        await redis.client_kill_filter(_id=each["id"])
    return len(links)


async def test_a_killed_link_costs_the_memory_and_nothing_else(process, truth, redis):
    one, other = await process(), await process()
    await _kept(one, truth)
    assert await _kill_links(redis) == 2
    truth.number = 1
    await other.changed("courses")
    assert await _read(other, truth) == 1

    async def has_heard() -> bool:
        return await _read(one, truth) == 1

    await eventually(has_heard, within=SURE_SECONDS)
    await _kept(one, truth)


async def test_a_restarted_redis(process, truth, server, redis):
    one, other = await process(), await process()
    await _kept(one, truth)
    await server.stop("cache")
    truth.number = 1
    await other.changed("courses")
    assert await _read(other, truth) == 1
    await asyncio.sleep(SURE_SECONDS)
    assert await _read(one, truth) == 1
    await server.start("cache")
    truth.number = 2
    await other.changed("courses")
    assert await _read(other, truth) == 2

    async def is_linked_again() -> bool:
        before = one.counts.redis
        await one.changed("course:9")
        assert await _read(one, truth) == 2
        return one.counts.redis > before or one.counts.memory > 0

    await eventually(is_linked_again, within=5)
    await _kept(one, truth)
    assert await _read(one, truth) == 2


async def test_what_could_not_be_announced_is_before_redis_is_believed_again(
    process, truth, server, redis, tmp_path
):
    """Redis sleeps through a write, and wakes with the past in it."""
    memory = Shared()
    writer, sibling, stranger = (
        await process(memory),
        await process(memory),
        await process(),
    )
    for cache in (writer, sibling, stranger):
        await _kept(cache, truth)
    with frozen((await redis.info("server"))["process_id"]):
        truth.number = 1
        await writer.changed("courses")
        answered = time.monotonic()
        assert await _read(writer, truth) == 1
        assert await _read(sibling, truth) == 1
        await asyncio.sleep(max(0.0, answered + 1 - time.monotonic()))
        assert await _read(stranger, truth) == 1
    deadline = time.monotonic() + 2 * DISTRUST_SECONDS
    while time.monotonic() < deadline:
        assert [await _read(each, truth) for each in (writer, sibling)] == [1, 1]
        await asyncio.sleep(0.002)
    await _kept(stranger, truth)
    assert await _read(stranger, truth) == 1


async def test_a_frozen_redis_does_not_hold_up_reads(process, truth, server, redis):
    cache = await process()
    await _kept(cache, truth)
    times = []
    with frozen((await redis.info("server"))["process_id"]):
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            started = time.perf_counter()
            await _read(cache, truth)
            times.append(time.perf_counter() - started)
            await asyncio.sleep(0.005)
    times.sort()
    assert times[int(len(times) * 0.95)] < 0.1
    assert times[-1] < 0.5
    # Less than a second in memory each time: the database is not asked for every read.
    assert cache.counts.memory > 10 * truth.asked


async def test_what_is_owed_when_a_process_starts_is_announced_first(patience, process, truth):
    one = await process()
    await _kept(one, truth)
    truth.number = 1
    late = await process(owed={"courses"})
    assert await _read(late, truth) == 1


async def test_without_redis_answers_are_kept_for_less_than_a_second(process, truth):
    cache = await process(url="redis://127.0.0.1:1/0")
    await _kept(cache, truth)
    truth.number = 1
    await asyncio.sleep(SURE_SECONDS)
    assert await _read(cache, truth) == 1


async def test_what_is_read_most_is_told_to_all(patience, process, truth, redis, monkeypatch):
    monkeypatch.setattr("infra.cache.answers.TELL_SECONDS", 0.05)
    one, other = await process(), await process()
    await _kept(one, truth)
    await _kept(other, truth, COURSE)
    one.remember(TARGET, KEY)
    for _ in range(50):
        one.hot.count(one.hot.get(TARGET))

    async def is_told() -> bool:
        return await redis.zrevrange("enroll:reads", 0, -1) == [b"courses", b"course:1"]

    await eventually(is_told, within=5)
    assert await _wanted(other, 1) == ["courses"]


async def _wanted(cache: AnswerCache, number: int) -> list[str]:
    async with aclosing(cache.wanted(number)) as wanted:
        return await anext(wanted)


async def test_what_is_read_most_is_wanted_again_when_memory_has_lost_it(
    patience, process, redis, monkeypatch
):
    monkeypatch.setattr("infra.cache.answers.LOST_AGAIN_SECONDS", 0.01)
    await redis.zadd("enroll:reads", {"courses": 2.0, "course:1": 1.0})
    cache = await process()
    async with aclosing(cache.wanted(2)) as wanted:
        assert await anext(wanted) == ["courses", "course:1"]
        again = asyncio.ensure_future(anext(wanted))
        await asyncio.sleep(2 * BEAT_SECONDS)
        assert not again.done()
        assert await _kill_links(redis) == 1
        assert await asyncio.wait_for(again, 10) == ["courses", "course:1"]


async def test_what_is_read_most_is_known_once_redis_answers(process, server, redis):
    await redis.zadd("enroll:reads", {"courses": 1.0})
    with frozen((await redis.info("server"))["process_id"]):
        late = await process()
        names = asyncio.create_task(_wanted(late, 1))
        await asyncio.sleep(SURE_SECONDS)
        assert not names.done()
    assert await asyncio.wait_for(names, 10) == ["courses"]


async def test_without_a_shared_store_nothing_is_known_of_what_is_read(process):
    alone = await process(url="memory://")
    assert [names async for names in alone.wanted(1)] == []
