"""Which client has how many streams open, in all processes of an instance.

Each process writes the clients of its own streams into its own slots, so one that is killed leaves
nothing behind but these, which its parent clears.
"""

import fcntl
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

# Each stream asks the database three times a second.
SLOTS = 200
_BYTES = 8
_FREE = 0


class TooManyOfClient(Exception):
    """A client has as many streams as it may have"""


class TooManyOfProcess(Exception):
    """A process has as many streams as it may have"""


class StreamTable:
    """Memory of a parent and the processes that it forks, and a lock that the kernel gives back."""

    def __init__(self, processes: int, slots: int = SLOTS) -> None:
        self.words = memoryview(mmap.mmap(-1, processes * slots * _BYTES)).cast("Q")
        self._slots = slots
        self._lock, path = tempfile.mkstemp()
        Path(path).unlink()
        weakref.finalize(self, os.close, self._lock)

    def of(self, number: int) -> "Slots":
        """Return the slots of a process."""
        return Slots(self, self._words_of(number))

    def clear(self, number: int) -> None:
        """Free the slots of a process that has ended."""
        self._words_of(number)[:] = memoryview(bytes(self._slots * _BYTES)).cast("Q")

    def _words_of(self, number: int) -> memoryview:
        return self.words[number * self._slots : (number + 1) * self._slots]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other processes out for some microseconds; one that is killed holds nothing."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


class Slots:
    """The slots of one process."""

    def __init__(self, table: StreamTable, words: memoryview) -> None:
        self._table = table
        self._words = words

    def __len__(self) -> int:
        """Return how many streams the process may have."""
        return len(self._words)

    def take(self, client: str, most: int | None) -> int:
        """Take a slot for a client that may have `most` (None: any number); return its number.

        Raises:
            TooManyOfClient: it has as many, in all processes together.
            TooManyOfProcess: no slot is left.

        """
        word = _word(client)
        with self._table.locked():
            if most is not None and self._table.words.tolist().count(word) >= most:
                raise TooManyOfClient
            try:
                slot = self._words.tolist().index(_FREE)
            except ValueError:
                raise TooManyOfProcess from None
            self._words[slot] = word
        return slot

    def free(self, slot: int) -> None:
        """Give a slot back."""
        self._words[slot] = _FREE


def _word(client: str) -> int:
    return int.from_bytes(blake2b(client.encode(), digest_size=8).digest()) or 1
