"""Objects that were shown lately, in this process's memory.

What is under a key never changes, so a copy is right as long as there is an object at all: now and
then the store is asked once more. While it does not answer, what is here is shown on. What is
known to be removed is not shown, though the store may still have it.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from infra.cache import Entry
from infra.storage import Storage, StorageError, StorageUnavailable

WAIT_SECONDS = 5
# A store that did not answer is left alone so long, for each object that is here.
AWAY_SECONDS = 15
# Threads that ask the store; all of a process's are a few more.
AT_ONCE = 4
MOST_WAITING = 64
# Prefixes of removed objects that are remembered; older ones are no longer in the store.
MOST_REMOVED = 10_000
# What an object takes beside its bytes, its head and the places in the tables included, about.
OVERHEAD_BYTES = 2048


@dataclass(slots=True, eq=False)
class CachedObject:
    """An object as it is sent, and until when nobody asks whether it is still there (monotonic)."""

    entry: Entry
    content_type: str
    expires: float

    @property
    def size(self) -> int:
        """How many bytes it takes, about."""
        return len(self.entry.body) + OVERHEAD_BYTES


class ObjectCache:
    """The most recently shown objects of a store, `limit` bytes of them.

    One that was removed from the store may be shown for so many more `seconds`.
    """

    def __init__(self, storage: Storage, limit: int, seconds: float) -> None:
        self._storage = storage
        self._limit = limit
        self._seconds = seconds
        self._size = 0
        self._kept: OrderedDict[str, CachedObject] = OrderedDict()
        self._flights: dict[str, asyncio.Task[CachedObject | None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._removed: dict[str, None] = {}

    def peek(self, key: str) -> CachedObject | None:
        """Return the object, if it is here and was there a moment ago."""
        shown = self._kept.get(key)
        if shown is None or time.monotonic() >= shown.expires:
            return None
        self._kept.move_to_end(key)
        return shown

    async def get(self, key: str) -> CachedObject | None:
        """Return the object; None, if there is none. Who ask at the same time ask the store once.

        Raises:
            StorageRefused: the key can't be one.
            StorageUnavailable: the store does not answer in time, or is asked for too many.

        """
        if shown := self.peek(key):
            return shown
        if self._is_removed(key):
            return None
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= MOST_WAITING:
                raise StorageUnavailable("too many objects are asked for at the same time")
            flight = self._flights[key] = asyncio.create_task(self._fetch(key))
            flight.add_done_callback(lambda task: self._land(key, task))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                # A thread can't be cancelled: its turn ends with it, whoever still waits.
                return await asyncio.shield(flight)
        except TimeoutError:
            raise StorageUnavailable(f"{key}: no answer within {WAIT_SECONDS} s") from None

    def remove(self, prefix: str) -> None:
        """Show no object below this prefix any more; it is a key up to one of its slashes."""
        if prefix in self._removed:
            return
        self._removed[prefix] = None
        if len(self._removed) > MOST_REMOVED:
            del self._removed[next(iter(self._removed))]
        for key in [key for key in self._kept if key.startswith(prefix)]:
            self._drop(key)

    def _is_removed(self, key: str) -> bool:
        return any(key[: at + 1] in self._removed for at, letter in enumerate(key) if letter == "/")

    async def _fetch(self, key: str) -> CachedObject | None:
        try:
            async with self._turns:
                found = await self._storage.get(key)
        except StorageError:
            old = self._kept.get(key)
            if old is None:
                raise
            old.expires = time.monotonic() + AWAY_SECONDS
            return old
        old = self._drop(key)
        if found is None or self._is_removed(key):
            return None
        # The same bytes: the head that was made of them holds.
        entry = old.entry if old and old.entry.body == found.data else Entry.of(found.data)
        shown = CachedObject(entry, found.content_type, time.monotonic() + self._seconds)
        self._keep(key, shown)
        return shown

    def _land(self, key: str, flight: "asyncio.Task[CachedObject | None]") -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # told to whoever waited; if nobody did any longer, to nobody

    def _keep(self, key: str, shown: CachedObject) -> None:
        if shown.size > self._limit:
            return
        self._kept[key] = shown
        self._size += shown.size
        while self._size > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> CachedObject | None:
        shown = self._kept.pop(key, None)
        if shown:
            self._size -= shown.size
        return shown
