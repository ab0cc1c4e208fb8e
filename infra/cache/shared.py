"""What the server processes of one instance know of each other's writes: numbers in memory.

For a client they are one. The one that wrote sets a new token before it answers, and each of the
others sees at its next read that what it remembers may be old: a read of memory, not a message.
"""

import mmap
import os
import time

_TOKEN, _DISTRUST, _WROTE = 0, 1, 2
_BYTES = 24


class Shared:
    """Words of memory: the last write's token and time, and until when Redis is distrusted."""

    def __init__(self) -> None:
        """Take memory of this process and those that it forks: no file, which a full disk ends."""
        self.words = memoryview(mmap.mmap(-1, _BYTES)).cast("Q")

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
