"""A listening socket for each server process, so that the kernel deals the connections out evenly.

Processes that share one socket race for what it has: one may take all the connections that come
at once, and the other none. With `SO_REUSEPORT` every process has a queue of its own. The parent
holds all of them, so the queue of a process that is being started again is kept for it.

Whoever waits in a queue of its own is let in at once. libuv accepts one connection each time round
the event loop (its pull request 3696), and a process that is busy goes round once in as long as it
takes to answer all who are in: a crowd that comes at once would be let in one by one.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra import error_messages
from infra.settings import Settings, SettingsError

# Elsewhere the last one bound gets everything.
HAS_REUSEPORT = sys.platform == "linux"
# The kernel's queue of connections not yet accepted: 100 overflows with 500 clients at once.
BACKLOG = 4096
# Those who are in wait while others are let in: 100 µs each.
MOST_AT_ONCE = 100


@dataclass(frozen=True)
class Listening:
    """The sockets of an instance: one for each server process, and that of the metrics."""

    clients: list[socket.socket]
    metrics: socket.socket | None

    def close(self, *, but: socket.socket | None = None) -> None:
        """Close all, or all but one, in this process."""
        for listener in (*self.clients, self.metrics):
            if listener and listener is not but:
                listener.close()


@contextmanager
def listening(settings: Settings) -> Iterator[Listening]:
    """Take the instance's addresses for the length of the block.

    The process that has them, and no other, may touch what belongs to the instance.

    Raises:
        SettingsError: an address is taken, or can't be had.

    """
    with ExitStack() as stack:

        def take(name: str, host: str, port: int, processes: int) -> list[socket.socket]:
            try:
                sockets = bind(host, port, processes)
            except OSError as error:
                sentence = error_messages.address_message(
                    f"{name}HOST", f"{name}PORT", host, port, error
                )
                if name and port == settings.port:
                    sentence = error_messages.same_port_message("PORT", f"{name}PORT", port)
                raise SettingsError(sentence) from None
            return [stack.enter_context(listener) for listener in sockets]

        clients = take("", settings.host, settings.port, settings.api_workers)
        port = settings.metrics_at
        metrics = take("METRICS_", settings.metrics_host, port, 1)[0] if port else None
        yield Listening(clients, metrics)


def bind(host: str, port: int, processes: int, backlog: int = BACKLOG) -> list[socket.socket]:
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


class AcceptBurst:
    """What the event loop takes for the class of its protocols: lets in those who wait, besides."""

    def __init__(self, protocol: Callable[..., asyncio.Protocol], listening: socket.socket) -> None:
        self._protocol = protocol
        self._listening = listening
        self._coming: set[asyncio.Task[Any]] = set()

    def __call__(self, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> asyncio.Protocol:
        """Return the protocol of the one that libuv has accepted, and accept the others."""
        make = partial(self._protocol, loop=loop, **kwargs)
        self._listening.settimeout(0)
        # Nobody waits any more; or what libuv will meet, too, and knows how to bear.
        with suppress(OSError):
            for _ in range(MOST_AT_ONCE):
                listener, _ = self._listening.accept()
                listener.settimeout(0)
                coming = loop.create_task(loop.connect_accepted_socket(make, listener))
                self._coming.add(coming)
                coming.add_done_callback(self._coming.discard)
        return make()
