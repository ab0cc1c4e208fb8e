"""Shared memory of the server processes of one instance.

It gives clients of an instance read-your-writes. A writing process appends its changes to a ring
before it responds. Each other process compares the ring's counter at its next read, without a
message.
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
# The words of a change: its version, whether it is listed, and the subject's id in two words.
_WORDS = 4
_HALF = (1 << 64) - 1
SLOTS = 256


class ChangeRing:
    """The ring of this instance's latest changes, the newest version, and the last write's time."""

    def __init__(self) -> None:
        """Allocate memory that forked processes share; it needs no disk space."""
        size = 8 * (_RING + _WORDS * SLOTS)
        # Writers lock it; the kernel releases the lock of a killed process.
        self._file = os.memfd_create("shared")
        os.ftruncate(self._file, size)
        self.words = memoryview(mmap.mmap(self._file, size)).cast("Q")
        weakref.finalize(self, os.close, self._file)

    @property
    def written(self) -> int:
        """How many changes this instance has made; the first word, which readers poll."""
        return self.words[_WRITTEN]

    def publish(self, changes: Sequence[Change]) -> None:
        """Append committed changes of this instance, before the response to their write."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            if len(changes) > SLOTS:
                self.words[_WRITTEN] += SLOTS
                return
            for change in changes:
                place, id_ = self._place(self.written), UUID(change.subject).int
                for n, word in enumerate((change.version, change.listed, id_ >> 64, id_ & _HALF)):
                    self.words[place + n] = word
                # Written last: a reader that sees the count sees the change.
                self.words[_WRITTEN] += 1
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def since(self, seen: int, written: int) -> list[Change] | None:
        """Return the changes after the first `seen` ones; None: the ring no longer has them all."""
        changes = []
        for number in range(seen, min(written, seen + SLOTS)):
            place = self._place(number)
            version, listed, high, low = self.words[place : place + _WORDS]
            changes.append(Change(version, str(UUID(int=high << 64 | low)), bool(listed)))
        # A writer may overwrite the oldest slot during the loop, so that slot does not count.
        return changes if self.written - seen < SLOTS else None

    @property
    def newest(self) -> int:
        """The version that a process of this instance last read from the database."""
        return self.words[_NEWEST]

    def note_version(self, version: int) -> None:
        """Store the version of the database."""
        self.words[_NEWEST] = version

    @property
    def wrote_at(self) -> int:
        """The time of this instance's last write (monotonic, nanoseconds)."""
        return self.words[_WROTE_AT]

    def note_write(self) -> None:
        """Store the current time as that of the last write."""
        self.words[_WROTE_AT] = time.monotonic_ns()

    def _place(self, number: int) -> int:
        return _RING + _WORDS * (number % SLOTS)
