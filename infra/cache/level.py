"""The second level: packed entries that all processes share, and what they read most.

It knows nothing of versions: its reader judges whether an entry counts. Anything lost is a miss.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from infra.aio.timeouts import timeout_with_grace

# To give up sooner would send to the database what a busy machine has only kept waiting.
TIMEOUT_SECONDS = 0.2
# For so long after a failure nothing is asked; then one call tries.
BREAK_SECONDS = 0.5
HEALTH_SECONDS = 1.0
MAX_CONNECTIONS = 20
MOST_COUNTED = 2000
# Each hour's count weighs half of the next one's: what was popular last week is not.
HALF_LIFE_SECONDS = 3600
_READS = "enroll:reads"
_DOWN = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)


class CacheDown(Exception):
    """The shared cache did not answer in time, or refused"""


async def _nothing() -> str:
    return ""


class SecondLevel:
    """Redis or Valkey, 7 or newer; with `memory://` it does not exist.

    `namespace` separates entries that must not be mixed: those of another release or database.
    Every call but `is_connected` and `close` may raise `CacheDown`.
    """

    def __init__(self, url: str, namespace: Callable[[], Awaitable[str]] = _nothing) -> None:
        self.exists = not url.startswith("memory:")
        # One try: the pool looks at idle connections before it uses them.
        self._pool = BlockingConnectionPool.from_url(
            url if self.exists else "redis://",
            max_connections=MAX_CONNECTIONS,
            timeout=HEALTH_SECONDS,
            socket_timeout=HEALTH_SECONDS,
            socket_connect_timeout=HEALTH_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        # Bytes come back as they went; its own types allow for clients that decode.
        self._redis: Any = Redis(connection_pool=self._pool)
        self._ask_namespace = namespace
        self._namespace: str | None = None
        self._is_broken, self._try_at = False, 0.0

    async def get(self, name: str) -> bytes | None:
        """Return the packed entry of a name."""
        async with self._call() as prefix:
            found: bytes | None = await self._redis.get(f"{prefix}e:{name}")
        return found

    async def put(self, name: str, packed: bytes, seconds: float) -> None:
        """Keep a packed entry for so long at most."""
        async with self._call() as prefix:
            await self._redis.set(f"{prefix}e:{name}", packed, px=int(seconds * 1000))

    async def lock(self, name: str, seconds: float) -> bool:
        """Lock a name for so long at most; return whether it was free."""
        async with self._call() as prefix:
            lock = await self._redis.set(f"{prefix}l:{name}", 1, nx=True, px=int(seconds * 1000))
        return bool(lock)

    async def unlock(self, name: str) -> None:
        """Unlock a name."""
        async with self._call() as prefix:
            await self._redis.delete(f"{prefix}l:{name}")

    async def count(self, reads: Mapping[str, int]) -> None:
        """Add the reads, by name, to this hour's count."""
        async with self._call():
            seconds, _ = await self._redis.time()
            weight = 2.0 ** (seconds / HALF_LIFE_SECONDS % 512)
            pipeline = self._redis.pipeline(transaction=False)
            for name, number in reads.items():
                pipeline.zincrby(_READS, number * weight, name)
            pipeline.zremrangebyrank(_READS, 0, -MOST_COUNTED - 1)
            await pipeline.execute()

    async def top(self, number: int) -> list[str]:
        """Return the names of the entries that are read most, the first one most."""
        async with self._call():
            names = await self._redis.zrange(_READS, 0, number, desc=True)
        return [name.decode() for name in names[:number]]

    async def is_connected(self) -> bool:
        """Return whether Redis answers within a second, if there is one."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                return not self.exists or bool(await self._redis.ping())
        except _DOWN:
            return False

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()
        await self._pool.disconnect()

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[str]:
        """Bound the wait, name every failure the same, and give the prefix of names."""
        now = time.monotonic()
        if not self.exists or (self._is_broken and now < self._try_at):
            raise CacheDown("there is none, or it has not answered lately")
        self._try_at = now + BREAK_SECONDS
        if self._namespace is None:
            try:
                self._namespace = f"enroll:{await self._ask_namespace()}:"
            except Exception as error:
                raise CacheDown("the namespace can't be known") from error
        try:
            async with timeout_with_grace(TIMEOUT_SECONDS):
                yield self._namespace
        except _DOWN as error:
            self._is_broken, self._try_at = True, time.monotonic() + BREAK_SECONDS
            raise CacheDown(repr(error)) from error
        self._is_broken = False
