"""How long a process trusts what it has read of the database, while its polls are on time."""

import asyncio
import time
from collections.abc import Callable
from math import inf

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
        self._renewed = asyncio.Event()
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

    @property
    def stale_seconds(self) -> float | None:
        """The time since memory was last known to be current; None if it is current."""
        return None if self.holds or self.wake is None else self._age

    def renew(self, asked_at: float) -> None:
        """Trust memory for `TRUST_SECONDS` from the start of a poll that has succeeded."""
        self.until, self._is_late = asked_at + TRUST_SECONDS, False
        self._renewed.set()
        self._renewed = asyncio.Event()

    async def wait(self) -> None:
        """Wait at most `POLL_WAIT_SECONDS` for a poll that begins now, unless polls are late."""
        if self.wake is None or self._is_late:
            return
        since = time.monotonic() + TRUST_SECONDS
        self.wake()
        try:
            async with asyncio.timeout(POLL_WAIT_SECONDS):
                while self.until < since:
                    await self._renewed.wait()
        except TimeoutError:
            self._is_late = True
