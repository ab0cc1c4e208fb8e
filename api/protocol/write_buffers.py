"""The bytes that a process buffers for clients that read more slowly than it writes."""

from collections import Counter
from typing import Protocol

MAX_BYTES = 128 * 1024 * 1024


class Connection(Protocol):
    """A connection that can be dropped."""

    def drop(self) -> None:
        """Close it at once."""


class WriteBuffers:
    """The connections with full write buffers, in the order in which they filled.

    When they hold more than `limit` bytes, the oldest ones are dropped. A body that several
    connections are sending counts once.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self.size = 0
        self._limit = limit
        self._held: dict[Connection, tuple[int, bytes]] = {}
        self._readers: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, connection: Connection, buffered: int, body: bytes) -> None:
        """Count a connection with `buffered` bytes in its buffer, and the body being sent."""
        self.release(connection)
        self._held[connection] = buffered, body
        self._readers[id(body)] += 1
        self.size += buffered + (len(body) if self._readers[id(body)] == 1 else 0)
        while self.size > self._limit:
            slowest = next(iter(self._held))
            self.release(slowest)
            slowest.drop()

    def release(self, connection: Connection) -> None:
        """Stop counting a connection."""
        held = self._held.pop(connection, None)
        if held is None:
            return
        buffered, body = held
        self._readers[id(body)] -= 1
        self.size -= buffered
        if not self._readers[id(body)]:
            del self._readers[id(body)]
            self.size -= len(body)
