"""What the server processes of one instance tell each other through memory that they share.

For a client they are one. The process that wrote appends its changes to a ring before it answers,
and each of the others sees at its next read that there are new ones, without a message.
"""

import fcntl
import mmap
import os
import time
import weakref
from collections.abc import Sequence
from uuid import UUID

from infra.db.history import Change

_WRITTEN, _NEWEST, _WROTE_AT, _RING = 0, 1, 2, 3
# A change: its version, whether it is listed, and the id of the thing in two words.
_WORDS = 4
_HALF = (1 << 64) - 1
SLOTS = 256


class Shared:
    """A ring of this instance's latest changes, and times, in words of memory."""

    def __init__(self) -> None:
        """Take memory of this process and those that it forks; no file, which needs disk space."""
        size = 8 * (_RING + _WORDS * SLOTS)
        # The kernel unlocks what a killed process had locked.
        self._file = os.memfd_create("shared")
        os.ftruncate(self._file, size)
        self.words = memoryview(mmap.mmap(self._file, size)).cast("Q")
        weakref.finalize(self, os.close, self._file)

    @property
    def written(self) -> int:
        """How many changes this instance has made; the first word, for those who look often."""
        return self.words[_WRITTEN]

    def publish(self, changes: Sequence[Change]) -> None:
        """Append committed changes of this instance, before their write is answered."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            if len(changes) > SLOTS:
                self.words[_WRITTEN] += SLOTS
                return
            for change in changes:
                place, id_ = self._place(self.written), UUID(change.subject).int
                for n, word in enumerate((change.version, change.listed, id_ >> 64, id_ & _HALF)):
                    self.words[place + n] = word
                # Last: a reader that sees the count sees the change.
                self.words[_WRITTEN] += 1
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def since(self, seen: int, written: int) -> list[Change] | None:
        """Return the changes after the first `seen` ones; None: there were too many since."""
        changes = []
        for number in range(seen, min(written, seen + SLOTS)):
            place = self._place(number)
            version, listed, high, low = self.words[place : place + _WORDS]
            changes.append(Change(version, str(UUID(int=high << 64 | low)), bool(listed)))
        # The slot that is written next is no longer that of a change before it.
        return changes if self.written - seen < SLOTS else None

    @property
    def newest(self) -> int:
        """The version that a process of this instance has learnt from the database last."""
        return self.words[_NEWEST]

    def note_version(self, version: int) -> None:
        """Note the version that the database has."""
        self.words[_NEWEST] = version

    @property
    def wrote_at(self) -> int:
        """When this instance wrote last (monotonic, nanoseconds)."""
        return self.words[_WROTE_AT]

    def note_write(self) -> None:
        """Note that this instance writes."""
        self.words[_WROTE_AT] = time.monotonic_ns()

    def _place(self, number: int) -> int:
        return _RING + _WORDS * (number % SLOTS)
