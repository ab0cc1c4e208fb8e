"""The most recently used objects of the image store, in this process's memory.

The content of a key never changes, so a cached object is right while the store has the object: it
is fetched again after an interval. While the store is unavailable, cached objects stay. Objects
that are known to be removed are not returned, even if the store still has them.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from infra.aio.singleflight import SingleFlight
from infra.cache import Entry
from infra.storage import Storage, StorageError, StorageUnavailable

FETCH_SECONDS = 5
# After a failed fetch, a cached object is not fetched again for so long.
RETRY_SECONDS = 15
# Each fetch takes a thread, and a process has only a few more.
MAX_FETCHES = 4
MAX_IN_FLIGHT = 64
# Prefixes of removed objects; the store has deleted older ones.
MAX_REMOVED = 10_000
# Approximate memory of an object besides its bytes: its head and table entries.
OVERHEAD_BYTES = 2048


@dataclass(slots=True, eq=False)
class CachedObject:
    """An object as it is sent, and the monotonic time at which it is fetched again."""

    entry: Entry
    content_type: str
    expires: float

    @property
    def size(self) -> int:
        """Its approximate memory in bytes."""
        return len(self.entry.body) + OVERHEAD_BYTES


class ObjectCache:
    """The most recently used objects of a store, up to `limit` bytes.

    An object that was deleted from the store may be returned for `seconds` more.
    """

    def __init__(self, storage: Storage, limit: int, seconds: float) -> None:
        self._storage = storage
        self._limit = limit
        self._seconds = seconds
        self._size = 0
        self._objects: OrderedDict[str, CachedObject] = OrderedDict()
        self._fetches: SingleFlight[str, CachedObject | None] = SingleFlight()
        self._fetch_slots = asyncio.Semaphore(MAX_FETCHES)
        self._removed: dict[str, None] = {}

    def peek(self, key: str) -> CachedObject | None:
        """Return the object if it is cached and not expired."""
        cached = self._objects.get(key)
        if cached is None or time.monotonic() >= cached.expires:
            return None
        self._objects.move_to_end(key)
        return cached

    async def get(self, key: str) -> CachedObject | None:
        """Return the object, or None if there is none; concurrent calls share one fetch.

        Raises:
            StorageRefused: the key is invalid.
            StorageUnavailable: the store doesn't respond in time, or has too many fetches.

        """
        if cached := self.peek(key):
            return cached
        if self._is_removed(key):
            return None
        if key not in self._fetches and len(self._fetches) >= MAX_IN_FLIGHT:
            raise StorageUnavailable("too many objects are fetched at the same time")
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._fetches.run(key, lambda: self._fetch(key))
        except TimeoutError:
            raise StorageUnavailable(f"{key}: no response within {FETCH_SECONDS} s") from None

    def remove(self, prefix: str) -> None:
        """Return no object below this prefix any more; a prefix ends at a slash of a key."""
        if prefix in self._removed:
            return
        self._removed[prefix] = None
        if len(self._removed) > MAX_REMOVED:
            del self._removed[next(iter(self._removed))]
        for key in [key for key in self._objects if key.startswith(prefix)]:
            self._drop(key)

    def _is_removed(self, key: str) -> bool:
        return any(key[: at + 1] in self._removed for at, letter in enumerate(key) if letter == "/")

    async def _fetch(self, key: str) -> CachedObject | None:
        try:
            async with self._fetch_slots:
                stored = await self._storage.get(key)
        except StorageError:
            old = self._objects.get(key)
            if old is None:
                raise
            old.expires = time.monotonic() + RETRY_SECONDS
            return old
        old = self._drop(key)
        if stored is None or self._is_removed(key):
            return None
        # The same bytes reuse their rendered head.
        entry = old.entry if old and old.entry.body == stored.data else Entry.of(stored.data)
        cached = CachedObject(entry, stored.content_type, time.monotonic() + self._seconds)
        self._store(key, cached)
        return cached

    def _store(self, key: str, cached: CachedObject) -> None:
        if cached.size > self._limit:
            return
        self._objects[key] = cached
        self._size += cached.size
        while self._size > self._limit:
            self._drop(next(iter(self._objects)))

    def _drop(self, key: str) -> CachedObject | None:
        cached = self._objects.pop(key, None)
        if cached:
            self._size -= cached.size
        return cached
