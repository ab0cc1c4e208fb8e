"""Look-up of an entry by the target of a request line, without a task switch."""

import time
from collections.abc import Callable

from infra.cache.memory import Memory, Slot
from infra.cache.shared import Shared


class RequestIndex:
    """The entries in this process's memory, by request target.

    The fast path calls `get`, and `recut` if `get` returns None. If both return None, the normal
    path responds, and maps the target by `ResponseCache.remember`. A slot is valid until the next
    `await`. The sender calls `count` for each response. It may keep heads in `entry.prepared`, and
    then reports their bytes by `memory.weigh`.
    """

    __slots__ = ("_catch_up", "_memory", "_targets", "_words", "hits", "seen")

    def __init__(self, memory: Memory, shared: Shared, catch_up: Callable[[], None]) -> None:
        self._memory = memory
        self._targets = memory.targets
        self._words = shared.words
        self._catch_up = catch_up
        # How many of the instance's changes this process has applied.
        self.seen = shared.written
        self.hits = 0

    def get(self, target: bytes) -> Slot | None:
        """Return the slot of a target, if it is known to be current."""
        if self._words[0] != self.seen:
            self._catch_up()
        slot = self._targets.get(target)
        if slot is None:
            return None
        now = time.monotonic()
        return slot if now < slot.expires and now < self._memory.trust.until else None

    def recut(self, target: bytes) -> Slot | None:
        """Return the slot of a target whose slice can be cut again from a block in memory."""
        memory, recut = self._memory, self._memory.recuts.get(target)
        block = memory.get(recut.part.block.name) if recut and memory.trust.holds else None
        if recut is None or block is None:
            return None
        part, prepared = recut
        if memory.get(part.key.name) is None:
            entry = part.cut(block.entry)
            entry.prepared = prepared.renewed(entry)
            memory.put(part.key, entry, block.expires, part)
        memory.remember(target, part.key.name)
        slot = self._targets.get(target)
        if slot is not None and slot.entry.prepared is not None:
            memory.weigh(target, slot.entry, slot.entry.prepared.size)
        return slot

    def count(self, slot: Slot) -> None:
        """Count a response from this index."""
        self.hits += 1
        self._memory.touch(slot)
