"""A listening socket for each server process, so that the kernel distributes connections evenly.

Processes that share one socket compete for its connections, and one process may accept them all.
With `SO_REUSEPORT` each process has its own accept queue. The parent holds all sockets open, so a
process that restarts keeps its queue.

libuv accepts one connection per iteration of the event loop (its pull request 3696). An iteration
of a busy process is long, so connections that arrive together would wait. `AcceptBurst` accepts up
to `MOST_AT_ONCE` waiting connections in one iteration.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra import error_messages
from infra.process.sockets import bind
from infra.settings import Settings, SettingsError

# Bounds the time for which an accept burst delays open connections.
MOST_AT_ONCE = 100


@dataclass(frozen=True)
class Listening:
    """The sockets of an instance: one for each server process, and one for metrics."""

    clients: list[socket.socket]
    metrics: socket.socket | None

    def close(self, *, but: socket.socket | None = None) -> None:
        """Close all sockets in this process, except `but`."""
        for listener in (*self.clients, self.metrics):
            if listener and listener is not but:
                listener.close()


@contextmanager
def listening(settings: Settings) -> Iterator[Listening]:
    """Bind the instance's addresses for the length of the block.

    Only the process that holds them may change the instance's data.

    Raises:
        SettingsError: an address is in use, or cannot be bound.

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


class AcceptBurst:
    """A protocol factory for the event loop that also accepts all waiting connections."""

    def __init__(self, protocol: Callable[..., asyncio.Protocol], listening: socket.socket) -> None:
        self._protocol = protocol
        self._listening = listening
        self._coming: set[asyncio.Task[Any]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether accepted connections still wait for their protocol."""
        return bool(self._coming)

    def __call__(self, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> asyncio.Protocol:
        """Return the protocol of libuv's connection, and accept the other waiting connections."""
        make = partial(self._protocol, loop=loop, **kwargs)
        self._listening.settimeout(0)
        # The queue is empty, or accepting fails; libuv gets the same error and handles it.
        with suppress(OSError):
            for _ in range(MOST_AT_ONCE):
                connection, _ = self._listening.accept()
                connection.settimeout(0)
                task = loop.create_task(loop.connect_accepted_socket(make, connection))
                self._coming.add(task)
                task.add_done_callback(self._coming.discard)
        return make()
