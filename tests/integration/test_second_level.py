"""The second level of the cache over a real server, and what only a server can do wrong."""

import asyncio
import os
import signal
import socket
import time

import pytest
from redis.asyncio import Redis

from course_enrollment.testing.cache import CacheContract
from deploy.embedded.servers import running
from infra.cache import CacheDown, SecondLevel
from infra.cache.level import BREAK_SECONDS, HEALTH_SECONDS, TIMEOUT_SECONDS
from tests.factories import eventually

# Connecting and asking are bounded together.
ANSWER_SECONDS = HEALTH_SECONDS + 0.5


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    """The embedded cache."""
    folder = tmp_path_factory.mktemp("cache")
    async with running(folder, {"cache"}) as servers:
        yield servers


@pytest.fixture
async def level(server, monkeypatch):
    """The level, empty; on a machine that runs other tests as well."""
    monkeypatch.setattr("infra.cache.level.TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr("infra.cache.level.HEALTH_SECONDS", 10.0)
    async with Redis.from_url(server.environment["CACHE_URL"]) as redis:
        await redis.flushall()
    opened = SecondLevel(server.environment["CACHE_URL"])
    yield opened
    await opened.close()


class TestRedis(CacheContract):
    """The contract that packages run, too."""


async def test_closing_gives_all_connections_back(server):
    async with Redis.from_url(server.environment["CACHE_URL"]) as observer:
        before = len(await observer.client_list())
        level = SecondLevel(server.environment["CACHE_URL"])
        await asyncio.gather(*(level.is_connected() for _ in range(10)))
        await level.close()

        async def are_gone() -> bool:
            return len(await observer.client_list()) == before

        await eventually(are_gone, within=5)


def _named(name):
    async def ask() -> str:
        return name

    return ask


async def test_the_namespace_is_asked_once_and_before_any_entry_is_used(server):
    asked = []

    async def ask() -> str:
        asked.append(len(asked))
        if asked == [0]:
            raise OSError("the database is away")
        return "mine"

    level = SecondLevel(server.environment["CACHE_URL"], ask)
    with pytest.raises(CacheDown, match="namespace"):
        await level.get("name")
    for _ in range(2):
        await level.get("name")
    assert asked == [0, 1]
    await level.close()


async def test_entries_and_locks_of_another_namespace_are_not_seen(server):
    url = server.environment["CACHE_URL"]
    one, other = SecondLevel(url, _named("1")), SecondLevel(url, _named("2"))
    await one.put("name", b"packed", 60)
    assert await one.get("name") == b"packed"
    assert await other.get("name") is None
    assert await one.lock("name", 60)
    assert await other.lock("name", 60)
    for level in (one, other):
        await level.close()


async def _is_away(level) -> bool:
    started = time.perf_counter()
    connected = await level.is_connected()
    assert time.perf_counter() - started < ANSWER_SECONDS
    with pytest.raises(CacheDown):
        await level.get("name")
    await level.close()
    return not connected


async def test_a_server_that_dies_and_returns(server):
    level = SecondLevel(server.environment["CACHE_URL"])
    assert await level.is_connected()
    await server.stop("cache")
    assert await _is_away(level)
    await server.start("cache")
    assert await level.is_connected()
    await asyncio.sleep(BREAK_SECONDS)
    await level.put("name", b"packed", 60)
    await level.close()


async def test_of_a_frozen_server_one_call_pays_and_the_others_do_without(server):
    level = SecondLevel(server.environment["CACHE_URL"])
    await level.put("name", b"packed", 60)
    async with Redis.from_url(server.environment["CACHE_URL"]) as redis:
        pid = (await redis.info("server"))["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            started = time.perf_counter()
            for _ in range(100):
                with pytest.raises(CacheDown):
                    await level.get("name")
            assert time.perf_counter() - started < 2 * TIMEOUT_SECONDS
            await asyncio.sleep(BREAK_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(BREAK_SECONDS)
    assert await level.get("name") == b"packed"
    await level.close()


async def test_a_server_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert await _is_away(SecondLevel(f"redis://127.0.0.1:{silent.getsockname()[1]}"))


async def test_a_server_that_refuses_our_password(server):
    url = server.environment["CACHE_URL"].replace("redis://:", "redis://:wrong")
    assert await _is_away(SecondLevel(url))


async def test_a_host_that_is_unknown():
    assert await _is_away(SecondLevel("redis://no-such-host.invalid:6379/0"))


@pytest.mark.parametrize(
    ("url", "exists"),
    [("memory://", False), ("redis://127.0.0.1:1/0", True), ("rediss://127.0.0.1:1/0", True)],
)
async def test_the_scheme_chooses(url, exists):
    level = SecondLevel(url)
    assert level.exists is exists
    assert await level.is_connected() is not exists
    with pytest.raises(CacheDown):
        await level.get("name")
    await level.close()
