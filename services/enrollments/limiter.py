"""Turns: so many at once for each key, and the others wait in the order in which they came."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from services.errors import Unavailable

POOL_WAIT_SECONDS = 5.0


class CourseBusy(Unavailable):
    """Too many are enrolling in this course at once; try again soon"""


class KeyedLimiter:
    """Gives each key a place of its own, and to all keys together `limit` - 1 more.

    So one crowded key has `limit` places, and however many are crowded, they have those and one
    each. Students of popular courses wait here, where waiting is cheap, and not on the connections
    that all others need. A key without anybody costs nothing.
    """

    def __init__(self, limit: int, patience_seconds: float = POOL_WAIT_SECONDS) -> None:
        self._shared = limit - 1
        self._patience = patience_seconds
        self._inside: dict[Hashable, int] = {}
        # While somebody waits, no shared place is free; the key that had one last is the last.
        self._queues: dict[Hashable, deque[asyncio.Event]] = {}

    @property
    def keys(self) -> int:
        """How many keys somebody holds or waits for."""
        return len(self._inside)

    def is_free(self, key: Hashable) -> bool:
        """Tell whether nobody holds any of the key's places."""
        return key not in self._inside

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Hold one of the key's places for the length of the block.

        Raises:
            Crowded: none was free in time.

        """
        if not self._enter(key):
            await self._wait(key)
        try:
            yield
        finally:
            self._leave(key)

    def _enter(self, key: Hashable) -> bool:
        inside = self._inside.get(key, 0)
        if inside:
            if not self._shared:
                return False
            self._shared -= 1
        self._inside[key] = inside + 1
        return True

    async def _wait(self, key: Hashable) -> None:
        turn = asyncio.Event()
        self._queues.setdefault(key, deque()).append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn.wait()
        except TimeoutError:
            self._fail_attempt(key, turn)
            raise CourseBusy from None
        except asyncio.CancelledError:
            self._fail_attempt(key, turn)
            raise

    def _fail_attempt(self, key: Hashable, turn: asyncio.Event) -> None:
        if turn.is_set():
            self._leave(key)
            return
        queue = self._queues[key]
        queue.remove(turn)
        if not queue:
            del self._queues[key]

    def _leave(self, key: Hashable) -> None:
        """Hand the place on: one's own to the next of this key, a shared one to each in turn."""
        self._inside[key] -= 1
        is_shared = self._inside[key] > 0
        heir = next(iter(self._queues), None) if is_shared else key
        if heir in self._queues:
            self._hand_to(heir)
        elif is_shared:
            self._shared += 1
        else:
            del self._inside[key]

    def _hand_to(self, key: Hashable) -> None:
        queue = self._queues.pop(key)
        queue.popleft().set()
        self._inside[key] += 1
        if queue:
            self._queues[key] = queue
