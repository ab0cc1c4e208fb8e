"""A limiter of concurrent calls by key; the others wait in order of arrival."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from services.errors import Unavailable

WAIT_SECONDS = 5.0


class CourseBusy(Unavailable):
    """Too many are enrolling in this course at once; try again soon"""


class KeyedLimiter:
    """Gives each key a slot of its own, and all keys together `limit` - 1 shared slots.

    One busy key has `limit` slots; several busy keys have one each and share the others. Requests
    for busy courses wait here, without a connection, so other requests can have the connections. A
    key without holders uses no memory.
    """

    def __init__(self, limit: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._shared = limit - 1
        self._wait_seconds = wait_seconds
        self._holders: dict[Hashable, int] = {}
        # While a key has waiters no shared slot is free. The last key that got one is at the end.
        self._queues: dict[Hashable, deque[asyncio.Event]] = {}

    @property
    def keys(self) -> int:
        """How many keys have holders."""
        return len(self._holders)

    def is_free(self, key: Hashable) -> bool:
        """Return whether the key has no holders."""
        return key not in self._holders

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Hold a slot of the key for the length of the block.

        Raises:
            CourseBusy: no slot was free in time.

        """
        if not self._try_acquire(key):
            await self._wait(key)
        try:
            yield
        finally:
            self._release(key)

    def _try_acquire(self, key: Hashable) -> bool:
        holders = self._holders.get(key, 0)
        if holders:
            if not self._shared:
                return False
            self._shared -= 1
        self._holders[key] = holders + 1
        return True

    async def _wait(self, key: Hashable) -> None:
        acquired = asyncio.Event()
        self._queues.setdefault(key, deque()).append(acquired)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await acquired.wait()
        except TimeoutError:
            self._abandon(key, acquired)
            raise CourseBusy from None
        except asyncio.CancelledError:
            self._abandon(key, acquired)
            raise

    def _abandon(self, key: Hashable, acquired: asyncio.Event) -> None:
        if acquired.is_set():
            self._release(key)
            return
        queue = self._queues[key]
        queue.remove(acquired)
        if not queue:
            del self._queues[key]

    def _release(self, key: Hashable) -> None:
        """Pass a key's own slot to its next waiter, and a shared slot to the keys in rotation."""
        self._holders[key] -= 1
        is_shared = self._holders[key] > 0
        next_key = next(iter(self._queues), None) if is_shared else key
        if next_key in self._queues:
            self._pass_to(next_key)
        elif is_shared:
            self._shared += 1
        else:
            del self._holders[key]

    def _pass_to(self, key: Hashable) -> None:
        queue = self._queues.pop(key)
        queue.popleft().set()
        self._holders[key] += 1
        if queue:
            self._queues[key] = queue
