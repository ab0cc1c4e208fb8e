"""The cache of a process: its memory, the shared second level, then the fill (docs/cache.md)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf

from infra.aio.periodic import periodic
from infra.aio.singleflight import SingleFlight
from infra.cache.entry import Entry, Key, Make, Slice
from infra.cache.filler import Filler, ttl_with_jitter
from infra.cache.level import CacheDown, SecondLevel
from infra.cache.memory import Memory, Slot
from infra.db.change_ring import ChangeRing
from infra.db.history import Change, History, Step
from infra.db.trust import Trust

# How long a read waits for a fill while polls are late, and how long that fill may take. It goes on
# for later readers: a slow process that began it again for each of them would never finish it.
LATE_FILL_SECONDS, LATE_FILL_SECONDS_MOST = 2.0, 6.0
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
        change_ring: ChangeRing | None = None,
    ) -> None:
        self.level = level
        self._change_ring = change_ring or ChangeRing()
        self.history = History()
        self.trust = Trust(stale_seconds)
        self.memory = Memory(memory_bytes, self.trust)
        self._targets, self._words = self.memory.targets, self._change_ring.words
        # How many of the instance's changes this process has applied.
        self._seen = self._change_ring.written
        # Set at the start, and after a gap in the history has cleared memory.
        self.emptied = asyncio.Event()
        self.emptied.set()
        self._filler = Filler(level, self.history, self.trust)
        self.counts = self._filler.counts
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
        await self.level.close()

    async def get(self, key: Key, make: Make) -> Entry:
        """Return the entry of a key; concurrent calls for a key share one `make`.

        Raises the errors of `make`, and a TimeoutError while polls are late.
        """
        if found := await self._in_memory(key):
            return found
        bound = asyncio.timeout(LATE_FILL_SECONDS if self._is_late else None)
        try:
            async with bound:
                return await self._fills.run(key, lambda: self._fill(key, make))
        except TimeoutError:
            if bound.expired():
                raise TimeoutError("The fill of a response is slow, and polls are late") from None
            raise

    async def slice(self, part: Slice) -> Entry:
        """Return a page that is cut from its block.

        Raises the errors of `make_block`.
        """
        if not self.memory.limit and not self.level.exists:
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

    def find(self, target: bytes) -> Slot | None:
        """Return the slot of a request target if it is known to be current, until the next `await`.

        The fast path calls this, then `memory.recut` if it returns None, and `count` for each
        response. If both return None, the normal path responds, and maps the target by
        `memory.remember`.
        """
        if self._words[0] != self._seen:
            self.catch_up()
        slot = self._targets.get(target)
        if slot is None:
            return None
        now = time.monotonic()
        return slot if now < slot.expires and now < self.trust.until else None

    def count(self, slot: Slot) -> None:
        """Count a response from the slot of a target."""
        self.counts.memory += 1
        self.memory.touch(slot)

    async def publish(self, changes: Sequence[Change]) -> None:
        """Publish committed changes to this instance's processes, before the write's response."""
        self.counts.invalidations += 1
        self._change_ring.publish(changes)
        self.catch_up()

    def catch_up(self) -> None:
        """Apply the changes of this instance that this process has not applied yet."""
        seen, written = self._seen, self._change_ring.written
        if written == seen:
            return
        self._seen = written
        changes = self._change_ring.since(seen, written)
        for change in changes or ():
            self.history.note(change)
        if changes is None:
            self.history.reset()
        self._take(changes)

    def follow(self, version: int, steps: Sequence[Step], asked_at: float) -> None:
        """Apply the result of a poll that began at `asked_at` (monotonic): see `History.follow`."""
        self._take(self.history.follow(version, steps))
        self._change_ring.note_version(version)
        self.trust.renew(asked_at)

    async def _in_memory(self, key: Key) -> Entry | None:
        self.catch_up()
        if not self.trust.holds:
            await self.trust.wait()
        slot = self.memory.get(key.name)
        if slot is None or self.trust.is_gone:
            return None
        return self.counts.add("memory", slot.entry.aged(self.trust.stale_seconds))

    @property
    def _is_late(self) -> bool:
        return self.trust.wake is not None and not self.trust.holds

    async def _fill(self, key: Key, make: Make) -> Entry:
        async with asyncio.timeout(LATE_FILL_SECONDS_MOST if self._is_late else None):
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
                await self.level.count(dict(reads))

    async def _watch_siblings(self) -> None:
        """Drop all lists if a sibling has had a later version for `BEHIND_SECONDS`."""
        now = time.monotonic()
        is_behind = self._change_ring.newest > (self.history.version or 0)
        self._behind_since = min(self._behind_since, now) if is_behind else inf
        if now - self._behind_since > BEHIND_SECONDS:
            self.memory.invalidate_lists()
