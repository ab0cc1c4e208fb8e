"""The shortest way to an answer: from the bytes behind `GET` to the bytes of the body."""

import time

from infra.cache.memory import Memory, Slot
from infra.cache.shared import Shared


class Hot:
    """Answers in this process's memory, by the target of the request line.

    For whoever stands in front of the router, as the first thing done with a GET or HEAD:

        slot = app.ctx.cache.hot.get(request.raw_url)     # b"/api/v1/courses?page=2"
        if slot is not None:                              # answer from slot.entry, ask nobody else
            app.ctx.cache.hot.count(slot)                 # once it is certain that it is sent

    `get` neither waits, parses nor counts. None says nothing about the target: go the usual way,
    which answers and, by `app.ctx.cache.remember(target, key)`, makes the next `get` find it. An
    entry is valid at the moment it is returned: use it before the next `await`, and don't keep it.
    What it takes to send one (the head, with `"{entry.digest}"` as the ETag) can be made once and
    kept in `entry.prepared`, if its bytes are told (`memory.weigh`). All answers are public and the
    same for everyone.

    Where `get` finds nothing, `cut` may: a page that a change has made old, of a sheet that is new.
    """

    __slots__ = ("_memory", "_targets", "_words", "hits", "seen")

    def __init__(self, memory: Memory, shared: Shared) -> None:
        self._memory = memory
        self._targets = memory.targets
        self._words = shared.words
        # The token of the last write whose effects this process has heard of.
        self.seen = shared.token
        self.hits = 0

    def get(self, target: bytes) -> Slot | None:
        """Return where the answer to a target is, if it is at hand and known to be true."""
        slot = self._targets.get(target)
        if slot is None or self._words[0] != self.seen:
            return None
        now = time.monotonic()
        if now >= slot.expires or now >= self._memory.sure_until:
            return None
        return slot

    def cut(self, target: bytes) -> Slot | None:
        """Return where the answer is, if it can be cut from what is at hand as it was before."""
        cutting = self._memory.cuttings.get(target)
        if cutting is None or self._words[0] != self.seen:
            return None
        piece, prepared = cutting
        whole = self._memory.get(piece.whole.name)
        if whole is None:
            return None
        if self._memory.get(piece.key.name) is None:
            entry = piece.cut(whole.entry)
            entry.prepared = prepared.renewed(entry)
            self._memory.put(piece.key, entry, whole.expires, piece)
        self._memory.remember(target, piece.key.name)
        slot = self._memory.targets.get(target)
        if slot is not None and slot.entry.prepared is not None:
            self._memory.weigh(target, slot.entry, slot.entry.prepared.size)
        return slot

    def count(self, slot: Slot) -> None:
        """Note that an answer was given from here."""
        self.hits += 1
        self._memory.touch(slot)
