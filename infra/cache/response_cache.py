"""The cache of a process: its memory, the shared second level, then the fill (docs/cache.md)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from math import inf

from infra.aio.periodic import periodic
from infra.aio.singleflight import SingleFlight
from infra.cache.entry import Entry, Key, Make, Slice
from infra.cache.filler import Counts, Filler, ttl_with_jitter
from infra.cache.level import CacheDown, SecondLevel
from infra.cache.memory import Memory
from infra.cache.request_index import RequestIndex
from infra.cache.shared import Shared
from infra.cache.trust import Trust
from infra.db.history import Change, History, Step

# How long a read waits for a fill while polls are late.
LATE_FILL_SECONDS = 2.0
# How long a process may be behind its siblings before it drops its lists; its check interval.
BEHIND_SECONDS, WATCH_SECONDS = 0.5, 0.1
# The interval at which read counts go to the second level, and their number of entries.
COUNT_SECONDS, COUNTED_AT_ONCE = 5.0, 500


class ResponseCache:
    """The response cache; one per process. Memory is trusted only while a feed calls `follow`."""

    def __init__(
        self,
        level: SecondLevel,
        *,
        memory_bytes: int,
        stale_seconds: float = 60.0,
        shared: Shared | None = None,
    ) -> None:
        self._level = level
        self._shared = shared or Shared()
        self.history = History()
        self.trust = Trust(stale_seconds)
        self.memory = Memory(memory_bytes, self.trust)
        self.index = RequestIndex(self.memory, self._shared, self.catch_up)
        # Set at the start, and after a gap in the history has cleared memory.
        self.emptied = asyncio.Event()
        self.emptied.set()
        self._filler = Filler(level, self.history, self.trust)
        self.counts, self._taken = self._filler.counts, Counts()
        self._fills: SingleFlight[Key, Entry] = SingleFlight()
        self._behind_since = inf
        self._background: list[asyncio.Task[None]] = []

    async def start(self, wake: Callable[[], None]) -> None:
        """Start, and wait a bounded time for a poll; `wake` makes the feed poll soon."""
        self.trust.wake = wake
        works = ((COUNT_SECONDS, self._count_reads), (WATCH_SECONDS, self._watch_siblings))
        self._background += [asyncio.create_task(periodic(*work)) for work in works]
        await self.trust.wait()

    async def close(self) -> None:
        """Stop the background tasks, and close the connections."""
        tasks = [*self._background, *self._filler.background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._level.close()

    async def is_connected(self) -> bool:
        """Return whether the second level responds."""
        return await self._level.is_connected()

    async def top(self, number: int) -> list[str]:
        """Return the names of the entries that all processes together read most.

        Raises:
            CacheDown: the second level does not respond.

        """
        return await self._level.top(number) if self._level.exists else []

    async def get(self, key: Key, make: Make) -> Entry:
        """Return the entry of a key; concurrent calls for a key share one `make`.

        Raises the errors of `make`.
        """
        found = await self._in_memory(key)
        return found or await self._fills.run(key, lambda: self._fill(key, make))

    async def slice(self, part: Slice) -> Entry:
        """Return a page that is cut from its block.

        Raises the errors of `make_block`.
        """
        if not self.memory.limit and not self._level.exists:
            return await part.make()
        if found := await self._in_memory(part.key):
            return found
        block = await self.get(part.block, part.make_block)
        entry = part.cut(block)
        # Kept as long as its block. A block that memory did not keep may be outdated.
        slot = self.memory.get(part.block.name)
        if slot is not None and slot.entry is block:
            self.memory.put(part.key, entry, slot.expires, part)
        return entry

    def remember(self, target: bytes, key: Key) -> bool:
        """Map a target to the entry of this key in the index; return whether it is mapped."""
        return self.memory.remember(target, key.name)

    async def publish(self, changes: Sequence[Change]) -> None:
        """Publish committed changes to this instance's processes, before the write's response."""
        self.counts.invalidations += 1
        self._shared.publish(changes)
        self.catch_up()

    def catch_up(self) -> None:
        """Apply the changes of this instance that this process has not applied yet."""
        seen, written = self.index.seen, self._shared.written
        if written == seen:
            return
        self.index.seen = written
        changes = self._shared.since(seen, written)
        for change in changes or ():
            self.history.note(change)
        if changes is None:
            self.history.reset()
        self._take(changes)

    def follow(self, version: int, steps: Sequence[Step], asked_at: float) -> None:
        """Apply the result of a poll that began at `asked_at` (monotonic): see `History.follow`."""
        self._take(self.history.follow(version, steps))
        self._shared.note_version(version)
        self.trust.renew(asked_at)

    def take_counts(self) -> Counts:
        """Return the counts since the last call."""
        self.counts.memory += self.index.hits
        self.index.hits = 0
        taken, self._taken = self._taken, replace(self.counts)
        return Counts(*(n - o for n, o in zip(astuple(self.counts), astuple(taken), strict=True)))

    async def _in_memory(self, key: Key) -> Entry | None:
        self.catch_up()
        if not self.trust.holds:
            await self.trust.wait()
        slot = self.memory.get(key.name)
        if slot is None or self.trust.is_gone:
            return None
        entry = self.trust.marked(slot.entry)
        if entry is slot.entry:
            self.counts.memory += 1
        else:
            self.counts.stale += 1
        return entry

    async def _fill(self, key: Key, make: Make) -> Entry:
        is_late = self.trust.wake is not None and not self.trust.holds
        async with asyncio.timeout(LATE_FILL_SECONDS if is_late else None):
            entry = await self._filler.fill(key, make)
        if not (entry.no_store or entry.stale_seconds or self._filler.is_outdated(key, entry)):
            self.memory.put(key, entry, time.monotonic() + ttl_with_jitter())
        return entry

    def _take(self, changes: Sequence[Change] | None) -> None:
        """Drop the entries that changes outdate; None: all entries."""
        if changes is None:
            self.memory.clear()
            self.emptied.set()
            self._fills.invalidate(lambda _: True)
        elif changes:
            subjects = {None, *(change.subject for change in changes)}
            self._fills.invalidate(lambda key: key.subject in subjects)
        for change in changes or ():
            self.memory.invalidate(change)

    async def _count_reads(self) -> None:
        if reads := self.memory.take_reads().most_common(COUNTED_AT_ONCE):
            with suppress(CacheDown):
                await self._level.count(dict(reads))

    async def _watch_siblings(self) -> None:
        """Drop all lists if a sibling has had a later version for `BEHIND_SECONDS`."""
        now = time.monotonic()
        is_behind = self._shared.newest > (self.history.version or 0)
        self._behind_since = min(self._behind_since, now) if is_behind else inf
        if now - self._behind_since > BEHIND_SECONDS:
            self.memory.invalidate_lists()
