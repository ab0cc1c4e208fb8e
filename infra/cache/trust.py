"""How long memory is trusted, and what becomes of it when the feed of changes is late."""

import asyncio
import time
from collections.abc import Callable
from math import inf

from infra.cache.entry import Entry

# How long memory is trusted after the start of the last poll that succeeded.
TRUST_SECONDS = 0.8
# How long a read waits for a poll, which may show that memory is current.
POLL_WAIT_SECONDS = 0.15


class Trust:
    """Whether entries are known to be current, or may be served as stale for `stale_seconds`.

    A database too busy for a poll is not asked for all that the poll could have confirmed.
    """

    def __init__(self, stale_seconds: float) -> None:
        # Monotonic; the fast path looks at it.
        self.until = -inf
        # Has the feed poll soon; a process without a feed serves no readers.
        self.wake: Callable[[], None] | None = None
        self._stale_seconds = max(stale_seconds, TRUST_SECONDS)
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []
        # Whether a read has waited for a poll in vain; others need not then.
        self._is_late = False

    @property
    def holds(self) -> bool:
        """Whether every entry that no known change made old is current."""
        return time.monotonic() < self.until

    @property
    def is_gone(self) -> bool:
        """Whether entries must not even be served as stale."""
        return self.wake is not None and self._age > self._stale_seconds

    @property
    def _age(self) -> float:
        return time.monotonic() - self.until + TRUST_SECONDS

    def marked(self, entry: Entry) -> Entry:
        """Return the entry, as a stale one if it may be old."""
        return entry if self.holds or self.wake is None else entry.stale(self._age)

    def renew(self, asked_at: float) -> None:
        """Trust memory for a while from the beginning of a poll that has succeeded."""
        self.until, self._is_late = asked_at + TRUST_SECONDS, False
        for since, waiter in self._waiting:
            if since <= asked_at and not waiter.done():
                waiter.set_result(None)
        self._waiting = [each for each in self._waiting if not each[1].done()]

    async def wait(self) -> None:
        """Wait a moment for a poll that begins from now on, unless polls are known to be late."""
        if self.wake is None or self._is_late:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((time.monotonic(), waiter))
        self.wake()
        try:
            async with asyncio.timeout(POLL_WAIT_SECONDS):
                await waiter
        except TimeoutError:
            self._is_late = True
