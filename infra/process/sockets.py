"""Listening sockets that forked processes inherit."""

import socket
import sys

# On other systems the socket that was bound last gets all connections.
HAS_REUSEPORT = sys.platform == "linux"
# The kernel's queue of connections that are not yet accepted.
BACKLOG = 4096


def bind(host: str, port: int, processes: int = 1, backlog: int = BACKLOG) -> list[socket.socket]:
    """Return a listening socket for each process, or one for all without `SO_REUSEPORT`.

    Raises:
        OSError: the host has no such address, or another process listens on it.

    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    # With SO_REUSEPORT a second instance could share the port; a bind without it would fail.
    with _socket(family) as alone:
        alone.bind(address)
    sockets = []
    for _ in range(processes if HAS_REUSEPORT else 1):
        listener = _socket(family)
        if HAS_REUSEPORT:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.set_inheritable(True)
        sockets.append(listener)
    return sockets


def _socket(family: int) -> socket.socket:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return listener
