"""Answers in the memory of this process: the most recently read ones, bounded by bytes."""

import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection
from math import inf
from typing import NamedTuple

from infra.cache.entry import Entry, Key, Make, Piece, Prepared, is_picked, parted

# What a slot and its places in the tables take beside the bytes, about.
SLOT_BYTES = 1024
TARGET_BYTES = 128
# One answer may be asked for in several spellings; more are not worth the room.
TARGETS_A_SLOT = 16
# A part of the room for answers of which there are endlessly many.
RARE_SHARE = 0.2
# Beside that room: targets whose pieces are old and can be cut anew, with some hundred bytes each.
CUTTINGS = 1000


class Cutting(NamedTuple):
    """How a target was answered, until its piece became old: the piece and its heads."""

    piece: Piece
    prepared: Prepared


class Slot:
    """An answer, until when it holds (monotonic), how often it was read, and its spellings.

    `cost` and `prepared` are bytes: of all of it, and of what was made of the entry for sending.
    """

    __slots__ = ("again", "cost", "entry", "expires", "key", "prepared", "reads", "targets")

    def __init__(self, key: Key, entry: Entry, expires: float, again: Piece | Make | None) -> None:
        self.key = key
        self.again = again
        self.entry = entry
        self.expires = expires
        self.reads = 0
        self.targets: list[bytes] = []
        self.prepared = 0
        self.cost = len(entry.body) + SLOT_BYTES


class Memory:
    """Least recently used goes first. `sure_until`: later (monotonic) nothing here is believed."""

    def __init__(self, limit: int) -> None:
        self.targets: dict[bytes, Slot] = {}
        self.cuttings: OrderedDict[bytes, Cutting] = OrderedDict()
        self.sure_until = inf
        self.size = 0
        self.limit = limit
        self._slots: OrderedDict[str, Slot] = OrderedDict()
        self._rare: OrderedDict[str, Slot] = OrderedDict()
        self._rare_size = 0
        self._topics: defaultdict[str, set[str]] = defaultdict(set)
        # Reads of answers that are no longer here, and were not told yet.
        self._gone: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._slots) + len(self._rare)

    def get(self, name: str) -> Slot | None:
        """Return the answer of this name, if it still holds."""
        slot = self._slots.get(name) or self._rare.get(name)
        if slot is None:
            return None
        now = time.monotonic()
        if now >= slot.expires:
            self._remove(slot)
            return None
        return self.touch(slot) if now < self.sure_until else None

    def touch(self, slot: Slot) -> Slot:
        """Note that an answer was read."""
        slot.reads += 1
        (self._rare if slot.key.rare else self._slots).move_to_end(slot.key.name)
        return slot

    def put(
        self, key: Key, entry: Entry, expires: float, again: Piece | Make | None = None
    ) -> None:
        """Keep an answer, and how it can be had again; drop what is over the limit."""
        slots = self._rare if key.rare else self._slots
        known = slots.get(key.name)
        slot = Slot(key, entry, expires, again)
        # Whoever asked for it read it, too.
        slot.reads = 1
        if known:
            self._remove(known)
        slots[key.name] = slot
        self._topics[key.topic].add(key.name)
        self._charge(slot, slot.cost)
        for target in known.targets if known else ():
            self.remember(target, key.name)
        self._shrink()

    def remember(self, target: bytes, name: str) -> bool:
        """Find the answer of this name by a request's target, too; tell whether it is found."""
        slot = self._slots.get(name) or self._rare.get(name)
        if slot is None or target in self.targets or len(slot.targets) == TARGETS_A_SLOT:
            return target in self.targets
        slot.targets.append(target)
        self.targets[target] = slot
        self.cuttings.pop(target, None)
        cost = len(target) + TARGET_BYTES
        slot.cost += cost
        self._charge(slot, cost)
        self._shrink()
        return target in self.targets

    def weigh(self, target: bytes, entry: Entry, prepared: int) -> None:
        """Count the bytes of what was prepared of an answer to a target as its own."""
        slot = self.targets.get(target)
        if slot is None or slot.entry is not entry:
            return
        cost, slot.prepared = prepared - slot.prepared, prepared
        slot.cost += cost
        self._charge(slot, cost)
        self._shrink()

    def about(self, topics: Collection[str]) -> list[tuple[Key, Make]]:
        """Return what can be made again of these topics: common answers, then the last read."""
        masks = dict(map(parted, topics))
        return [
            (slot.key, slot.again)
            for slots in (self._slots, self._rare)
            for slot in reversed(slots.values())
            if slot.key.topic in masks
            and is_picked(masks[slot.key.topic], slot.key.bit)
            and slot.again
            and not isinstance(slot.again, Piece)
        ]

    def forget(self, topic: str) -> None:
        """Drop all answers about a topic, or what a mask picks of them."""
        about, mask = parted(topic)
        for name in list(self._topics.get(about, ())):
            slot = self._slots.get(name) or self._rare.get(name)
            if slot and is_picked(mask, slot.key.bit):
                self._outdate(slot)

    def forget_showing(self, name: bytes) -> None:
        """Drop all answers that list this id."""
        for slots in (self._slots, self._rare):
            for slot in list(slots.values()):
                if slot.key.lists and name in slot.entry.body:
                    self._outdate(slot)

    def clear(self) -> None:
        """Drop everything."""
        self._gone.update(self.take_reads())
        self.targets.clear()
        self.cuttings.clear()
        self._slots.clear()
        self._rare.clear()
        self._topics.clear()
        self.size = self._rare_size = 0

    def take_reads(self) -> dict[str, int]:
        """Return how often each answer was read since this was asked last."""
        reads, self._gone = self._gone, Counter()
        for slots in (self._slots, self._rare):
            for name, slot in slots.items():
                if slot.reads:
                    reads[name] += slot.reads
                    slot.reads = 0
        return reads

    def _shrink(self) -> None:
        while self._rare and self._rare_size > self.limit * RARE_SHARE:
            self._remove(next(iter(self._rare.values())))
        while self.size > self.limit:
            self._remove(next(iter((self._slots or self._rare).values())))

    def _charge(self, slot: Slot, cost: int) -> None:
        self.size += cost
        if slot.key.rare:
            self._rare_size += cost

    def _outdate(self, slot: Slot) -> None:
        """Drop an answer that is old; how a piece of it was sent is still true of the next one."""
        if isinstance(slot.again, Piece) and slot.entry.prepared:
            cutting = Cutting(slot.again, slot.entry.prepared)
            for target in slot.targets:
                self.cuttings[target] = cutting
            while len(self.cuttings) > CUTTINGS:
                self.cuttings.popitem(last=False)
        self._remove(slot)

    def _remove(self, slot: Slot) -> None:
        key = slot.key
        if slot.reads:
            self._gone[key.name] += slot.reads
        del (self._rare if key.rare else self._slots)[key.name]
        names = self._topics[key.topic]
        names.discard(key.name)
        if not names:
            del self._topics[key.topic]
        for target in slot.targets:
            del self.targets[target]
        self._charge(slot, -slot.cost)
