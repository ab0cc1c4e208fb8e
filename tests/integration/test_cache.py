"""One contract over every store, and what only a server can do wrong."""

import asyncio
import socket
import time

import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from infra.cache import (
    CacheAway,
    Entry,
    Key,
    MemoryStore,
    Page,
    RedisStore,
    masked,
    open_store,
)
from infra.cache.local import MAX_VERSIONS
from infra.cache.redis import HEALTH_SECONDS, MAX_CONNECTIONS
from infra.cache.store import Fresh
from infra.cache.version import MAX_BYTES, TOKEN_BYTES
from tests.factories import eventually

# Connecting and asking are bounded together.
ANSWER_SECONDS = HEALTH_SECONDS + 0.5
KEY = Key("courses?page=1", "courses", slow=True)
OTHER = Key("courses?page=2", "courses", slow=True)
ENTRY = Entry.of(b'["one"]', 1)
NEWER = Entry.of(b'["one", "two"]', 2)


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    """The embedded cache."""
    folder = tmp_path_factory.mktemp("cache")
    async with running(folder, {"cache"}) as servers:
        yield servers


@pytest.fixture(params=["memory", "redis"])
async def store(request, server, monkeypatch):
    """Each kind of store, empty; on a machine that runs other tests as well."""
    monkeypatch.setattr("infra.cache.redis.TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr("infra.cache.redis.HEALTH_SECONDS", 10.0)
    url = "memory://" if request.param == "memory" else server.environment["CACHE_URL"]
    if request.param == "redis":
        async with Redis.from_url(url) as redis:
            await redis.flushall()
    opened = open_store(url)
    await opened.attach()
    yield opened
    await opened.close()


async def _fill(store, key=KEY, entry=ENTRY, seconds=60.0):
    found = await store.read(key)
    turn = await store.begin(key, found.version)
    await store.write(key, turn.version, entry, seconds)
    return turn.version


async def test_what_is_stored_comes_back_whole(store):
    page = Page(3, 10, "search=%C3%BC&sort=title")
    for entry in (
        ENTRY,
        Entry.of(b"", 0),
        Entry.of(b"{}", 7, page),
        Entry.of("ü".encode() * 100_000),
    ):
        await _fill(store, entry=entry)
        found = (await store.read(KEY)).entry
        assert (found.body, found.digest, found.total) == (entry.body, entry.digest, entry.total)
        assert found.page == entry.page


async def test_fresh_answers_come_with_the_new_version(store):
    before = await _fill(store)
    fresh = Fresh(await store.lines(["courses"]), [(KEY, NEWER, 60.0)])
    await store.renew(["courses", "course:1"], "mark", fresh)
    found = await store.read(KEY)
    assert found.entry.body == NEWER.body
    assert found.version != before
    assert await store.is_marked("mark")
    await store.renew(["courses"])
    assert (await store.read(KEY)).entry is None


@pytest.mark.parametrize("is_there", [True, False])
async def test_fresh_answers_are_not_kept_past_another_change(store, is_there):
    if is_there:
        await _fill(store)
    since = await store.lines(["courses"])
    assert (since["courses"] is not None) == is_there
    await store.renew(["courses"])
    await store.renew(["courses"], "mark", Fresh(since, [(KEY, NEWER, 60.0)]))
    assert (await store.read(KEY)).entry is None
    assert await store.is_marked("mark")


async def test_nor_past_a_touch_that_they_may_not_show(store):
    await _fill(store)
    since = await store.lines(["courses"])
    await store.touch("course:1", ["courses"])
    await store.renew(["courses"], "", Fresh(since, [(KEY, NEWER, 60.0)]))
    assert (await store.read(KEY)).entry is None


async def test_an_empty_store_has_neither_version_nor_answer(store):
    found = await store.read(KEY)
    assert (found.version, found.entry) == (None, None)


async def test_a_change_makes_all_answers_about_it_old_and_no_others(store):
    elsewhere = Key("course:1", "course:1")
    for key in (KEY, OTHER, elsewhere):
        await _fill(store, key)
    await store.renew(["courses", "course:2"])
    assert (await store.read(KEY)).entry is None
    assert (await store.read(OTHER)).entry is None
    assert (await store.read(elsewhere)).entry is not None


async def test_an_answer_made_before_a_change_is_never_taken_for_a_new_one(store):
    await _fill(store)
    version = (await store.read(KEY)).version
    await store.renew(["courses"])
    await store.write(KEY, version, Entry.of(b"the past"), 60)
    assert (await store.read(KEY)).entry is None


SHOWING = Key("courses?page=1", "courses", slow=True, lists=True)


async def test_a_touch_makes_old_what_shows_the_thing(store):
    for key in (SHOWING, OTHER):
        await _fill(store, key, Entry.of(f'[{{"id":"{key.name[-1]}"}}]'.encode()))
    await _fill(store, Key("course:1", "course:1"))
    await store.touch("course:1", ["courses"])
    assert (await store.read(SHOWING)).entry is None
    assert (await store.read(OTHER)).entry is not None
    assert (await store.read(Key("course:1", "course:1"))).entry is None
    await _fill(store, SHOWING, Entry.of(b'[{"id":"1"}]'))
    await store.touch("course:3", ["courses"])
    assert (await store.read(SHOWING)).entry is not None
    await store.renew(["courses"])
    assert (await store.read(OTHER)).entry is None


async def test_an_answer_made_before_a_touch_is_never_taken_for_a_new_one(store):
    await _fill(store, SHOWING, Entry.of(b'[{"id":"2"}]'))
    version = (await store.read(SHOWING)).version
    await store.touch("course:1", ["courses"])
    await store.write(SHOWING, version, Entry.of(b'[{"id":"1"}]'), 60)
    await store.write(OTHER, version, Entry.of(b'[{"id":"2"}]'), 60)
    assert (await store.read(SHOWING)).entry is None
    assert (await store.read(OTHER)).entry is not None


async def test_a_touch_of_what_has_no_version_leaves_none_that_was_before(store, server):
    version = await _fill(store, OTHER)
    if isinstance(store, RedisStore):
        async with Redis.from_url(server.environment["CACHE_URL"]) as redis:
            await redis.delete(*await redis.keys("*:v:courses"))
        await store.touch("course:1", ["courses"])
        assert (await store.read(OTHER)).entry is None
        await store.write(OTHER, version, ENTRY, 60)
        assert (await store.read(OTHER)).entry is None


async def test_what_is_remembered_of_touches_is_bounded(store):
    await _fill(store, OTHER, Entry.of(b'[{"id":"none"}]'))
    for number in range(MAX_BYTES // TOKEN_BYTES):
        assert (await store.read(OTHER)).entry is not None or number > 50
        await store.touch(f"course:{number:036}", ["courses"])
    assert (await store.read(OTHER)).entry is None
    await _fill(store, OTHER)
    assert (await store.read(OTHER)).entry is not None


def found_by(bit: int | None) -> Key:
    return Key(f"searches?{bit}", "searches", slow=True, lists=True, bit=bit)


BITS = (0, 5, 511, None)


async def _there(store) -> list[int | None]:
    return [bit for bit in BITS if (await store.read(found_by(bit))).entry]


async def test_a_mask_makes_old_what_it_picks_and_no_others(store):
    for bit in BITS:
        await _fill(store, found_by(bit))
    await store.renew([masked("searches", [5, 6])])
    assert await _there(store) == [0, 511]
    await _fill(store, found_by(5))
    await store.renew([masked("searches", [511]), "courses"])
    assert await _there(store) == [0, 5]
    await store.renew([masked("searches", [])])
    assert await _there(store) == [0, 5]
    await store.renew([masked("searches", [5]), masked("searches", [0])])
    assert await _there(store) == []
    await _fill(store, found_by(0))
    await store.renew(["searches"])
    assert await _there(store) == []


async def test_an_answer_made_before_a_mask_that_picks_it_is_never_taken_for_a_new_one(store):
    made_under = await _fill(store, found_by(5))
    await store.renew([masked("searches", [5])])
    for bit in BITS:
        await store.write(found_by(bit), made_under, ENTRY, 60)
    assert await _there(store) == [0, 511]
    assert await store.lacking([found_by(bit) for bit in BITS]) == [found_by(5), found_by(None)]


async def test_fresh_answers_come_with_a_mask(store):
    for bit in BITS:
        await _fill(store, found_by(bit))
    since = await store.lines(["courses", "searches"])
    fresh = Fresh(since, [(found_by(5), NEWER, 60.0), (KEY, NEWER, 60.0)])
    await store.renew(["courses", masked("searches", [5])], "", fresh)
    assert await _there(store) == [0, 5, 511]
    assert (await store.read(found_by(5))).entry.body == NEWER.body
    assert (await store.read(KEY)).entry.body == NEWER.body
    since = await store.lines(["searches"])
    await store.renew([masked("searches", [0])])
    await store.renew([masked("searches", [5])], "", Fresh(since, [(found_by(5), ENTRY, 60.0)]))
    assert await _there(store) == [511]


async def test_what_is_remembered_of_masks_is_bounded(store):
    await _fill(store, found_by(0))
    fresh = [(found_by(1), NEWER, 60.0)]
    for number in range(MAX_BYTES // TOKEN_BYTES):
        assert (await store.read(found_by(0))).entry is not None or number > 20
        since = await store.lines(["searches"])
        given = Fresh(since, fresh) if number % 2 else None
        await store.renew([masked("searches", [1, 511])], "", given)
        size = len((await store.lines(["searches"]))["searches"])
        assert size <= MAX_BYTES
    assert (await store.read(found_by(0))).entry is None


async def test_a_touch_is_noted_beside_several_listings(store):
    searched = found_by(5)
    for key in (SHOWING, searched):
        await _fill(store, key, Entry.of(b'[{"id":"1"}]'))
    await _fill(store, found_by(0), Entry.of(b'[{"id":"2"}]'))
    await store.touch("course:1", ["courses", "searches"])
    assert (await store.read(SHOWING)).entry is None
    assert await _there(store) == [0]


async def test_a_mark_tells_that_a_change_was_announced(store, monkeypatch):
    monkeypatch.setattr("infra.cache.local.MARK_SECONDS", 1)
    monkeypatch.setattr("infra.cache.redis.MARK_SECONDS", 1)
    assert not await store.is_marked("7")
    await store.renew(["courses"], "7")
    await store.touch("course:1", ["courses"], "8")
    marks = {mark: await store.is_marked(mark) for mark in ("7", "8", "9", "")}
    assert marks == {"7": True, "8": True, "9": False, "": False}
    await asyncio.sleep(1.1)
    assert not await store.is_marked("7")


async def test_a_version_that_was_lost_is_made_afresh_and_equals_none_before(store, server):
    version = await _fill(store)
    await store.renew(["courses"])
    if isinstance(store, RedisStore):
        async with Redis.from_url(server.environment["CACHE_URL"]) as redis:
            await redis.delete(*await redis.keys("*:v:courses"))
        found = await store.read(KEY)
        assert (found.version, found.entry) == (None, None)
        assert (await store.begin(KEY, None)).version != version


async def test_of_many_that_make_a_version_at_once_all_have_the_same(store):
    turns = await asyncio.gather(*(store.begin(KEY, None) for _ in range(10)))
    assert len({turn.version for turn in turns}) == 1


async def test_one_of_many_has_the_turn_until_it_has_written(store):
    version = await _fill(store)
    turns = await asyncio.gather(*(store.begin(KEY, version) for _ in range(10)))
    assert [turn.is_ours for turn in turns].count(True) == 1
    assert (await store.begin(OTHER, version)).is_ours
    await store.write(KEY, version, ENTRY, 60)
    assert (await store.begin(KEY, version)).is_ours


async def test_who_makes_the_version_has_the_turn_and_no_other(store):
    turns = await asyncio.gather(*(store.begin(KEY, None) for _ in range(10)))
    assert [turn.is_ours for turn in turns].count(True) == 1


async def test_a_turn_that_came_to_nothing_is_the_next_ones(store):
    turn = await store.begin(KEY, None)
    await store.release(KEY, turn.version)
    assert (await store.begin(KEY, turn.version)).is_ours
    assert not (await store.begin(KEY, turn.version)).is_ours


async def test_what_is_not_slow_has_no_turns(store):
    course = Key("course:1", "course:1")
    turns = [await store.begin(course, None) for _ in range(2)]
    turns.append(await store.begin(course, turns[0].version))
    assert all(turn.is_ours for turn in turns)


async def test_it_tells_what_it_has_no_answer_of(store):
    keys = [Key(f"courses?page={number}", "courses", lists=True) for number in range(120)]
    assert await store.lacking(keys) == keys
    for key in keys[10:]:
        await _fill(store, key, Entry.of(f'[{{"id":"{key.name[13:]}"}}]'.encode()))
    await store.touch("course:119", ["courses"])
    assert await store.lacking(keys) == [*keys[:10], keys[119]]
    assert await store.lacking([]) == []


async def test_an_answer_ends_with_its_time(store):
    await _fill(store, seconds=0.02)
    await asyncio.sleep(0.03)
    assert (await store.read(KEY)).entry is None


async def test_it_knows_what_is_read_most(store):
    await store.count({"a": 5, "b": 2})
    await store.count({"b": 10, "c": 1})
    assert await store.top(2) == ["b", "a"]


async def test_it_answers_more_askers_than_it_has_connections(store):
    answers = await asyncio.gather(*(store.is_connected() for _ in range(5 * MAX_CONNECTIONS)))
    assert all(answers)


async def test_it_can_be_closed_twice_and_used_in_between(store):
    await store.close()
    await store.is_connected()
    await store.close()
    await store.close()


async def test_closing_gives_all_connections_back(server):
    async with Redis.from_url(server.environment["CACHE_URL"]) as observer:
        before = len(await observer.client_list())
        store = open_store(server.environment["CACHE_URL"])
        await asyncio.gather(*(store.is_connected() for _ in range(10)))
        await store.close()

        async def are_gone() -> bool:
            return len(await observer.client_list()) == before

        await eventually(are_gone, within=5)


async def test_the_store_of_one_process_is_bounded(monkeypatch):
    monkeypatch.setattr("infra.cache.local.TURN_SECONDS", 0.01)
    store = MemoryStore()
    for number in range(3 * MAX_VERSIONS):
        topic = f"course:{number}"
        await store.renew([topic])
        if number % 100 == 0:
            key = Key(topic, topic, slow=True)
            await store.begin(key, (await store.read(key)).version)
    await store.renew(["course:0"])
    await asyncio.sleep(0.02)
    assert len(vars(store)["_versions"]) == MAX_VERSIONS
    assert (await store.read(Key("course:1", "course:1"))).version is None
    assert (await store.read(Key(topic, topic))).version is not None
    assert (await store.begin(KEY, None)).is_ours
    assert len(vars(store)["_turns"]) == 1


def _shaped(shape):
    async def ask() -> str:
        return shape

    return ask


async def test_whose_answers_they_are_is_asked_once_and_before_any_is_used(server):
    asked = []

    async def ask() -> str:
        asked.append(len(asked))
        if asked == [0]:
            raise OSError("the database is away")
        return "mine"

    store = open_store(server.environment["CACHE_URL"], ask)
    with pytest.raises(CacheAway, match="shape"):
        await store.attach()
    with pytest.raises(CacheAway, match="no server"):
        await store.read(KEY)
    for _ in range(2):
        await store.attach()
    assert asked == [0, 1]
    await store.close()


async def test_answers_of_another_shape_are_not_seen(server):
    url = server.environment["CACHE_URL"]
    one, other = open_store(url, _shaped("1")), open_store(url, _shaped("2"))
    for store in (one, other):
        await store.attach()
    await _fill(one)
    assert (await one.read(KEY)).entry is not None
    assert (await other.read(KEY)).entry is None
    await other.renew(["courses"])
    assert (await one.read(KEY)).entry is None
    # Transactions of another database have the same numbers.
    await one.renew(["courses"], "7")
    assert not await other.is_marked("7")
    for store in (one, other):
        await store.close()


async def _is_away(store) -> bool:
    started = time.perf_counter()
    connected = await store.is_connected()
    assert time.perf_counter() - started < ANSWER_SECONDS
    with pytest.raises(CacheAway):
        await store.attach()
    with pytest.raises(CacheAway):
        await store.read(KEY)
    await store.close()
    return not connected


async def test_a_server_that_dies_and_returns(server):
    store = open_store(server.environment["CACHE_URL"])
    assert await store.is_connected()
    await server.stop("cache")
    assert await _is_away(store)
    await server.start("cache")
    assert await store.is_connected()
    await store.attach()
    await _fill(store)
    await store.close()


async def test_a_server_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert await _is_away(open_store(f"redis://127.0.0.1:{silent.getsockname()[1]}"))


async def test_a_server_that_knows_us_not(server):
    url = server.environment["CACHE_URL"].replace("redis://:", "redis://:wrong")
    assert await _is_away(open_store(url))


async def test_a_host_that_is_unknown():
    assert await _is_away(open_store("redis://no-such-host.invalid:6379/0"))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryStore),
        ("redis://127.0.0.1:1/0", RedisStore),
        ("rediss://127.0.0.1:1/0", RedisStore),
    ],
)
def test_the_scheme_chooses(url, kind):
    assert isinstance(open_store(url), kind)
