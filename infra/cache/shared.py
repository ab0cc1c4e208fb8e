"""What the server processes of one instance know of each other's writes: numbers in memory.

For a client they are one. The one that wrote sets a new token before it answers, and each of the
others sees at its next read that what it remembers may be old: a read of memory, not a message.
"""

import mmap
import os
import sys
import tempfile
import time
from multiprocessing.reduction import DupFd
from typing import Any

_TOKEN, _DISTRUST, _WROTE = 0, 1, 2
_BYTES = 24


class SharedWords:
    """A file without a name that the processes of one instance map, and nobody else.

    It lies in memory: a page of a file that a full disk takes away ends who touches it by SIGBUS.
    Processes that are spawned get it as an argument.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """Make one, or take that of an open file."""
        self._descriptor = _unnamed_file() if descriptor is None else descriptor

    def map(self) -> mmap.mmap:
        """Return the memory."""
        return mmap.mmap(self._descriptor, _BYTES)

    def __reduce__(self) -> tuple[Any, ...]:
        """Hand the open file over to a process that is being spawned."""
        return _received, (DupFd(self._descriptor),)

    def __del__(self) -> None:
        """Close the file; what is mapped stays."""
        os.close(self._descriptor)


def _received(handed_over: Any) -> SharedWords:
    return SharedWords(handed_over.detach())


def _unnamed_file() -> int:
    if sys.platform == "linux":
        descriptor = os.memfd_create("enroll")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    # Written, so that its page exists before it is mapped.
    os.pwrite(descriptor, bytes(_BYTES), 0)
    return descriptor


class Shared:
    """Words of memory: the last write's token and time, and until when Redis is distrusted."""

    def __init__(self, words: SharedWords | None = None) -> None:
        """Map the words of the instance, or some of this process alone where there are none."""
        self._memory = words.map() if words else mmap.mmap(-1, _BYTES)
        self.words = memoryview(self._memory).cast("Q")

    @property
    def token(self) -> int:
        """The token of the last write of this instance."""
        return self.words[_TOKEN]

    def renew(self) -> None:
        """Set a new token: random, so that two processes that write at once make two changes."""
        self.words[_TOKEN] = int.from_bytes(os.urandom(8))

    @property
    def is_distrusted(self) -> bool:
        """Whether a process here has a change that the shared cache has not taken yet."""
        return time.monotonic_ns() < self.words[_DISTRUST]

    def distrust(self, seconds: float) -> None:
        """Let no process here believe the shared cache for a while; the owing one repeats it."""
        until = time.monotonic_ns() + int(seconds * 1e9)
        self.words[_DISTRUST] = max(self.words[_DISTRUST], until)

    @property
    def wrote_at(self) -> int:
        """When this instance wrote last (monotonic, nanoseconds)."""
        return self.words[_WROTE]

    def note_write(self) -> None:
        """Note that this instance writes."""
        self.words[_WROTE] = time.monotonic_ns()
