"""A listening socket for each server process, so that the kernel deals the connections out evenly.

Processes that share one socket race for what it has: one may take all the connections that come
at once, and the other none. With `SO_REUSEPORT` every process has a queue of its own. The parent
holds all of them, so the queue of a process that is being started again is kept for it.
"""

import socket
import sys
from typing import Any

from sanic import Sanic

# Elsewhere the last one bound gets everything.
DEALS_OUT = sys.platform == "linux"


def bind(host: str, port: int, processes: int, backlog: int) -> list[socket.socket]:
    """Return a listening socket for each process, or one for all where the kernel deals none out.

    Raises:
        OSError: the address is not ours, or somebody listens there already.

    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    # Another service of ours would share the port, too: ask for it alone first.
    with _socket(family) as alone:
        alone.bind(address)
    sockets = []
    for _ in range(processes if DEALS_OUT else 1):
        one = _socket(family)
        if DEALS_OUT:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(address)
        one.listen(backlog)
        one.set_inheritable(True)
        sockets.append(one)
    return sockets


def _socket(family: int) -> socket.socket:
    one = socket.socket(family)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return one


def deal_out(app: Sanic[Any, Any], sockets: list[socket.socket]) -> None:
    """Give each server process its socket, when they are made and not yet started."""

    async def give(app: Sanic[Any, Any]) -> None:
        for process, one in zip(app.manager.transient_processes, sockets, strict=True):
            process.kwargs["sock"] = one
            process.spawn()

    app.main_process_ready(give)
