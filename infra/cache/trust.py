"""How long a process trusts its memory, and when it serves stale entries while polls are late."""

import asyncio
import time
from collections.abc import Callable
from math import inf

from infra.cache.entry import Entry

# How long memory is trusted after the start of the last poll that succeeded.
TRUST_SECONDS = 0.8
# How long a read waits for a poll to confirm that memory is current.
POLL_WAIT_SECONDS = 0.15


class Trust:
    """Whether entries are known to be current, or may be served as stale for `stale_seconds`.

    Stale entries spare a database that is too busy for a poll the load of all reads.
    """

    def __init__(self, stale_seconds: float) -> None:
        # Monotonic; the fast path reads it.
        self.until = -inf
        # Makes the feed poll soon; None in a process without a feed, which serves no readers.
        self.wake: Callable[[], None] | None = None
        self._stale_seconds = max(stale_seconds, TRUST_SECONDS)
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []
        # True after a wait for a poll has timed out; later reads then do not wait.
        self._is_late = False

    @property
    def holds(self) -> bool:
        """Whether every entry that no known change outdates is current."""
        return time.monotonic() < self.until

    @property
    def is_gone(self) -> bool:
        """Whether entries are too old to be served even as stale."""
        return self.wake is not None and self._age > self._stale_seconds

    @property
    def _age(self) -> float:
        return time.monotonic() - self.until + TRUST_SECONDS

    def marked(self, entry: Entry) -> Entry:
        """Return the entry, as a stale copy if it may be outdated."""
        return entry if self.holds or self.wake is None else entry.stale(self._age)

    def renew(self, asked_at: float) -> None:
        """Trust memory for `TRUST_SECONDS` from the start of a poll that has succeeded."""
        self.until, self._is_late = asked_at + TRUST_SECONDS, False
        for since, waiter in self._waiting:
            if since <= asked_at and not waiter.done():
                waiter.set_result(None)
        self._waiting = [each for each in self._waiting if not each[1].done()]

    async def wait(self) -> None:
        """Wait at most `POLL_WAIT_SECONDS` for a poll that begins now, unless polls are late."""
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
