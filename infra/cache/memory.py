"""The entries in this process's memory, bounded by bytes; the least recently used go first."""

import time
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from infra.cache.entry import Entry, Key, Prepared, Slice
from infra.db.history import Change
from infra.db.trust import Trust

# The approximate overhead of a slot, and of a target, over their bytes.
SLOT_BYTES = 1024
TARGET_BYTES = 128
# Bounds the memory for the URL variants of one entry.
TARGETS_A_SLOT = 16
LONG_TAIL_SHARE = 0.2
# The most targets of outdated slices that are kept for a new cut. They do not count in `limit`.
RECUTS = 1000


class Recut(NamedTuple):
    """The slice of a target and its header templates, kept after the slice is outdated."""

    part: Slice
    prepared: Prepared


@dataclass(slots=True, eq=False)
class Slot:
    """An entry, its expiry (monotonic), its read count, and its targets.

    `cost` is its size in bytes; `prepared` is the part of it that the sender derived.
    """

    key: Key
    entry: Entry
    expires: float
    part: Slice | None
    # The read that caused the fill.
    reads: int = 1
    targets: list[bytes] = field(default_factory=list)
    prepared: int = 0
    cost: int = 0


class Memory:
    """Slots by name and by request target."""

    def __init__(self, limit: int, trust: Trust) -> None:
        self.targets: dict[bytes, Slot] = {}
        self.recuts: OrderedDict[bytes, Recut] = OrderedDict()
        self.trust = trust
        self.limit = limit
        self.size = self._long_tail_size = 0
        self._slots: dict[str, Slot] = {}
        # The same slots, the least recently used first, by `long_tail`.
        self._used: dict[bool, OrderedDict[str, Slot]] = {False: OrderedDict(), True: OrderedDict()}
        self._by_subject: defaultdict[str | None, set[str]] = defaultdict(set)
        # Reads of removed entries that `take_reads` has not returned yet.
        self._gone: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, name: str) -> Slot | None:
        """Return the slot of this name; an expired slot only while memory is not trusted."""
        slot = self._slots.get(name)
        if slot is not None and time.monotonic() >= slot.expires and self.trust.holds:
            self._remove(slot)
            return None
        return slot and self.touch(slot)

    def touch(self, slot: Slot) -> Slot:
        """Note that an entry was read."""
        slot.reads += 1
        self._used[slot.key.long_tail].move_to_end(slot.key.name)
        return slot

    def put(self, key: Key, entry: Entry, expires: float, part: Slice | None = None) -> None:
        """Keep an entry, cut as `part` if it is a slice; drop entries over the limit."""
        slot, known = Slot(key, entry, expires, part), self._slots.get(key.name)
        if known:
            self._remove(known)
        self._slots[key.name] = self._used[key.long_tail][key.name] = slot
        self._by_subject[key.subject].add(key.name)
        self._charge(slot, len(entry.body) + SLOT_BYTES)
        for target in known.targets if known else ():
            self.remember(target, key.name)
        self._shrink()

    def remember(self, target: bytes, name: str) -> bool:
        """Map a request target to the entry of this name; return whether the target is mapped."""
        slot = self._slots.get(name)
        if slot and target not in self.targets and len(slot.targets) < TARGETS_A_SLOT:
            slot.targets.append(target)
            self.targets[target] = slot
            self.recuts.pop(target, None)
            self._charge(slot, len(target) + TARGET_BYTES)
            self._shrink()
        return target in self.targets

    def recut(self, target: bytes) -> Slot | None:
        """Return the slot of a target whose slice can be cut again from a block in memory."""
        recut = self.recuts.get(target)
        block = self.get(recut.part.block.name) if recut and self.trust.holds else None
        if recut is None or block is None:
            return None
        part, prepared = recut
        if self.get(part.key.name) is None:
            entry = part.cut(block.entry)
            entry.prepared = prepared.renewed(entry)
            self.put(part.key, entry, block.expires, part)
        self.remember(target, part.key.name)
        slot = self.targets.get(target)
        if slot is not None and slot.entry.prepared is not None:
            self.weigh(target, slot.entry, slot.entry.prepared.size)
        return slot

    def weigh(self, target: bytes, entry: Entry, prepared: int) -> None:
        """Count the bytes that the sender derived from a target's entry in the entry's cost."""
        slot = self.targets.get(target)
        if slot is not None and slot.entry is entry:
            cost, slot.prepared = prepared - slot.prepared, prepared
            self._charge(slot, cost)
            self._shrink()

    def invalidate(self, change: Change) -> None:
        """Drop the entries that a change outdates."""
        shown = b"" if change.listed else change.subject.encode()
        for subject, text in ((change.subject, b""), (None, shown)):
            for name in list(self._by_subject.get(subject, ())):
                entry = self._slots[name].entry
                if entry.version < change.version and text in entry.body:
                    self._outdate(name)

    def invalidate_lists(self) -> None:
        """Drop all lists."""
        for name in list(self._by_subject.get(None, ())):
            self._outdate(name)

    def clear(self) -> None:
        """Drop everything."""
        for slot in list(self._slots.values()):
            self._remove(slot)
        self.recuts.clear()

    def take_reads(self) -> Counter[str]:
        """Return how often each entry was read since the last call."""
        reads, self._gone = self._gone, Counter()
        for name, slot in self._slots.items():
            if slot.reads:
                reads[name] += slot.reads
                slot.reads = 0
        return reads

    def _outdate(self, name: str) -> None:
        """Drop an outdated entry; keep a slice's header templates for the next cut."""
        slot = self._slots[name]
        if slot.part and slot.entry.prepared:
            recut = Recut(slot.part, slot.entry.prepared)
            self.recuts.update(dict.fromkeys(slot.targets, recut))
            while len(self.recuts) > RECUTS:
                self.recuts.popitem(last=False)
        self._remove(slot)

    def _shrink(self) -> None:
        common, long_tail = self._used[False], self._used[True]
        while long_tail and self._long_tail_size > self.limit * LONG_TAIL_SHARE:
            self._remove(next(iter(long_tail.values())))
        while self.size > self.limit:
            self._remove(next(iter((common or long_tail).values())))

    def _charge(self, slot: Slot, cost: int) -> None:
        slot.cost += cost
        self.size += cost
        if slot.key.long_tail:
            self._long_tail_size += cost

    def _remove(self, slot: Slot) -> None:
        name, subject = slot.key.name, slot.key.subject
        if slot.reads:
            self._gone[name] += slot.reads
        del self._slots[name], self._used[slot.key.long_tail][name]
        self._by_subject[subject].discard(name)
        if not self._by_subject[subject]:
            del self._by_subject[subject]
        for target in slot.targets:
            del self.targets[target]
        self._charge(slot, -slot.cost)
