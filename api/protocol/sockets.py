"""What the kernel knows of a socket before the event loop does."""

import select
from typing import Protocol


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


def has_input(one: _HasDescriptor) -> bool:
    """Return whether a connection has bytes to read, or a listening socket one to accept."""
    poll = select.poll()
    poll.register(one.fileno(), select.POLLIN)
    return bool(poll.poll(0))
