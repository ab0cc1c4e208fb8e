"""Redis, as this process reaches it; `memory://` stands in where there is one process only."""

from typing import Protocol

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.exceptions import RedisError

TIMEOUT_SECONDS = 1.0
MAX_CONNECTIONS = 20


class Cache(Protocol):
    """A place for what can be made again."""

    async def is_connected(self) -> bool:
        """Tell whether the cache answers."""

    async def close(self) -> None:
        """Give the connections back."""


class RedisCache:
    """A pool that waits for a free connection, a bounded time, instead of raising at its limit."""

    def __init__(self, url: str) -> None:
        self._redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
            )
        )

    async def is_connected(self) -> bool:
        """Tell whether Redis answers within a second."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


class MemoryCache:
    """This process's own memory."""

    async def is_connected(self) -> bool:
        """Tell that it is there."""
        return True

    async def close(self) -> None:
        """Do nothing."""


def open_cache(url: str) -> Cache:
    """Return the cache of a `redis://`, `rediss://` or `memory://` URL."""
    return MemoryCache() if url.startswith("memory:") else RedisCache(url)
