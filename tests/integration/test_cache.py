"""One contract over every cache, as far as it goes by now, and what only a server can do wrong."""

import asyncio
import socket
import time

import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from infra.cache import MAX_CONNECTIONS, TIMEOUT_SECONDS, MemoryCache, RedisCache, open_cache
from tests.factories import eventually

# Connecting and asking are bounded each.
ANSWER_SECONDS = 2 * TIMEOUT_SECONDS + 0.5


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    """The embedded cache."""
    folder = tmp_path_factory.mktemp("cache")
    async with running(folder, {"cache"}) as servers:
        yield servers


@pytest.fixture(params=["memory", "redis"])
async def cache(request, server):
    """Each kind of cache."""
    url = "memory://" if request.param == "memory" else server.environment["CACHE_URL"]
    opened = open_cache(url)
    yield opened
    await opened.close()


async def _is_away(cache) -> bool:
    started = time.perf_counter()
    connected = await cache.is_connected()
    assert time.perf_counter() - started < ANSWER_SECONDS
    return not connected


async def test_it_answers(cache):
    assert await cache.is_connected() is True


async def test_it_answers_more_askers_than_it_has_connections(cache):
    answers = await asyncio.gather(*(cache.is_connected() for _ in range(5 * MAX_CONNECTIONS)))
    assert all(answers)


async def test_it_can_be_closed_twice_and_before_it_was_used(cache):
    await cache.close()
    await cache.is_connected()
    await cache.close()
    await cache.close()


async def test_closing_gives_all_connections_back(server):
    async with Redis.from_url(server.environment["CACHE_URL"]) as observer:
        before = len(await observer.client_list())
        cache = open_cache(server.environment["CACHE_URL"])
        await asyncio.gather(*(cache.is_connected() for _ in range(5 * MAX_CONNECTIONS)))
        assert before < len(await observer.client_list()) <= before + MAX_CONNECTIONS
        await cache.close()

        async def are_gone() -> bool:
            return len(await observer.client_list()) == before

        await eventually(are_gone, within=5)


async def test_a_server_that_dies_and_returns(server):
    cache = open_cache(server.environment["CACHE_URL"])
    assert await cache.is_connected()
    await server.stop("cache")
    assert await _is_away(cache)
    await server.start("cache")
    assert await cache.is_connected()
    await cache.close()


async def test_a_server_that_never_answers(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = open_cache(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        assert await _is_away(cache)
        await cache.close()


async def test_a_server_that_knows_us_not(server):
    cache = open_cache(server.environment["CACHE_URL"].replace("redis://:", "redis://:wrong"))
    assert await _is_away(cache)
    await cache.close()


async def test_a_host_that_is_unknown():
    cache = open_cache("redis://no-such-host.invalid:6379/0")
    assert await _is_away(cache)
    await cache.close()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryCache),
        ("redis://127.0.0.1:1/0", RedisCache),
        ("rediss://127.0.0.1:1/0", RedisCache),
    ],
)
def test_the_scheme_chooses(url, kind):
    assert isinstance(open_cache(url), kind)
