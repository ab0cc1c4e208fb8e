"""Turns: so many at once for each key, and the others wait in the order in which they came."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from services.errors import Unavailable

PATIENCE_SECONDS = 5.0


class Crowded(Unavailable):
    """Too many are enrolling in this course at once; try again soon"""


class Turns:
    """Lets at most `limit` of each key in; a key without anybody costs nothing.

    Students of one popular course wait here, where waiting is cheap, and not on the connections
    that all others need.
    """

    def __init__(self, limit: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._limit = limit
        self._patience = patience_seconds
        self._queues: dict[Hashable, asyncio.Semaphore] = {}
        self._members: dict[Hashable, int] = {}

    @property
    def keys(self) -> int:
        """How many keys somebody holds or waits for."""
        return len(self._queues)

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Hold one of the key's places for the length of the block.

        Raises:
            Crowded: none was free in time.

        """
        queue = self._queues.setdefault(key, asyncio.Semaphore(self._limit))
        self._members[key] = self._members.get(key, 0) + 1
        try:
            if queue.locked():
                await self._wait(queue)
            else:
                await queue.acquire()
            try:
                yield
            finally:
                queue.release()
        finally:
            self._members[key] -= 1
            if not self._members[key]:
                del self._members[key], self._queues[key]

    async def _wait(self, queue: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await queue.acquire()
        except TimeoutError:
            raise Crowded from None
