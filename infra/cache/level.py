"""The second level: packed entries that all processes share, and their read counts.

It does not check versions; the reader checks whether an entry is current. A lost entry is a miss.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from urllib.parse import urlsplit

from infra import plugins
from infra.aio.timeouts import timeout_with_grace
from infra.redis_py import NoBackoff, RedisError, Retry, connect

# A shorter timeout would send requests to the database whenever the machine is busy.
TIMEOUT_SECONDS = 0.2
# The breaker: after a failure no call is made for so long; then one call tries.
BREAK_SECONDS = 0.5
HEALTH_SECONDS = 1.0
MAX_CONNECTIONS = 20
MOST_COUNTED = 2000
# Each hour's count weighs half of the next hour's, so that old reads lose their weight.
HALF_LIFE_SECONDS = 3600
_READS = "enroll:reads"
_DOWN = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)


class CacheDown(Exception):
    """The shared cache did not answer in time, or refused"""


def open_level(url: str, namespace: Callable[[], Awaitable[str]] | None = None) -> "SecondLevel":
    """Open the second level that the scheme of CACHE_URL names: Redis, none, or a package's.

    Raises:
        PluginError: the package can't be used.

    """
    point = plugins.installed(plugins.CACHE).get(urlsplit(url).scheme)
    level = plugins.load(point) if point else SecondLevel
    return cast("SecondLevel", level(url, namespace))


class SecondLevel:
    """Redis or Valkey, 7 or newer; with `memory://` it does not exist.

    `namespace` separates the entries of different releases and databases.
    Every call except `unlock`, `is_connected` and `close` may raise `CacheDown`.
    """

    def __init__(self, url: str, namespace: Callable[[], Awaitable[str]] | None = None) -> None:
        self.exists = not url.startswith("memory:")
        # No retry is needed: the pool checks idle connections before it uses them.
        options: dict[str, Any] = {"connections": MAX_CONNECTIONS, "retry": Retry(NoBackoff(), 0)}
        # Any: the client returns bytes, but its types also allow decoded text.
        self._redis: Any = connect(url if self.exists else "redis://", HEALTH_SECONDS, **options)
        self._ask_namespace = namespace
        self._prefix = "" if namespace else "enroll::"
        self._is_broken, self._try_at = False, 0.0

    async def get(self, name: str) -> bytes | None:
        """Return the packed entry of a name, if there is one."""
        async with self._call() as prefix:
            found: bytes | None = await self._redis.get(f"{prefix}e:{name}")
        return found

    async def put(self, name: str, packed: bytes, seconds: float) -> None:
        """Store a packed entry for at most `seconds`."""
        async with self._call() as prefix:
            await self._redis.set(f"{prefix}e:{name}", packed, px=int(seconds * 1000))

    async def lock(self, name: str, seconds: float) -> bool:
        """Lock a name for at most `seconds`; return whether it was free."""
        async with self._call() as prefix:
            lock = await self._redis.set(f"{prefix}l:{name}", 1, nx=True, px=int(seconds * 1000))
        return bool(lock)

    async def unlock(self, name: str) -> None:
        """Unlock a name; while Redis does not respond, its lock expires."""
        with suppress(CacheDown):
            async with self._call() as prefix:
                await self._redis.delete(f"{prefix}l:{name}")

    async def count(self, reads: Mapping[str, int]) -> None:
        """Add reads, by name, to the counts, with the weight of this hour."""
        async with self._call():
            seconds, _ = await self._redis.time()
            weight = 2.0 ** (seconds / HALF_LIFE_SECONDS % 512)
            pipeline = self._redis.pipeline(transaction=False)
            for name, number in reads.items():
                pipeline.zincrby(_READS, number * weight, name)
            pipeline.zremrangebyrank(_READS, 0, -MOST_COUNTED - 1)
            await pipeline.execute()

    async def top(self, number: int) -> list[str]:
        """Return the names of the most read entries, the most read first; none without Redis."""
        if not self.exists:
            return []
        async with self._call():
            names = await self._redis.zrange(_READS, 0, number, desc=True)
        return [name.decode() for name in names[:number]]

    async def is_connected(self) -> bool:
        """Return whether Redis responds within `HEALTH_SECONDS`; True without Redis."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                return not self.exists or bool(await self._redis.ping())
        except _DOWN:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[str]:
        """Bound the call, turn every failure into `CacheDown`, and yield the prefix of names."""
        now = time.monotonic()
        if not self.exists or (self._is_broken and now < self._try_at):
            raise CacheDown("there is none, or it has not answered lately")
        self._try_at = now + BREAK_SECONDS
        if self._ask_namespace and not self._prefix:
            try:
                self._prefix = f"enroll:{await self._ask_namespace()}:"
            except Exception as error:
                raise CacheDown("the namespace can't be known") from error
        try:
            async with timeout_with_grace(TIMEOUT_SECONDS):
                yield self._prefix
        except _DOWN as error:
            self._is_broken, self._try_at = True, time.monotonic() + BREAK_SECONDS
            raise CacheDown(repr(error)) from error
        self._is_broken = False
