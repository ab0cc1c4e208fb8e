"""Counts the open streams of each client, over all processes of an instance.

Each process writes the clients of its streams into its own slots in shared memory. The parent
clears the slots of a process that was killed.
"""

import fcntl
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

# Each stream polls the database, so their number is bounded.
SLOTS = 200
_BYTES = 8
_FREE = 0


class TooManyClientStreams(Exception):
    """The client has the maximum number of streams"""


class TooManyProcessStreams(Exception):
    """The process has the maximum number of streams"""


class StreamTable:
    """Memory shared by a parent and its forked processes, and a lock that ends with its holder."""

    def __init__(self, processes: int, slots: int = SLOTS) -> None:
        self.words = memoryview(mmap.mmap(-1, processes * slots * _BYTES)).cast("Q")
        self._slots = slots
        self._lock = _unnamed_file()
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
        """Exclude the other processes; the kernel releases the lock of a killed one."""
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
        """Return the maximum number of streams of the process."""
        return len(self._words)

    def take(self, client: str, most: int | None) -> int:
        """Take a slot for a client with at most `most` streams (None: no limit); return its number.

        Raises:
            TooManyClientStreams: the client has that many streams, over all processes.
            TooManyProcessStreams: no slot is left.

        """
        word = _word(client)
        with self._table.locked():
            if most is not None and self._table.words.tolist().count(word) >= most:
                raise TooManyClientStreams
            try:
                slot = self._words.tolist().index(_FREE)
            except ValueError:
                raise TooManyProcessStreams from None
            self._words[slot] = word
        return slot

    def free(self, slot: int) -> None:
        """Release a slot."""
        self._words[slot] = _FREE


def _unnamed_file() -> int:
    """Return the descriptor of an empty file, on Linux one that needs no writable folder."""
    if sys.platform != "linux":
        descriptor, path = tempfile.mkstemp()
        Path(path).unlink()
        return descriptor
    return os.memfd_create("streams")


def _word(client: str) -> int:
    return int.from_bytes(blake2b(client.encode(), digest_size=8).digest()) or 1
