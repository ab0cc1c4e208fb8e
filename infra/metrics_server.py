"""Serves Prometheus scrapes in a separate process, on a separate address.

Scrapes therefore take no time from the event loops that serve clients and run tasks.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from infra.aio.singleflight import SingleFlight
from infra.observability import metrics, task_metrics
from infra.observability.exposition import Families, Reading, build_info, exposition
from infra.observability.meters import Instance
from infra.observability.processes import Processes
from infra.observability.totals import Totals
from infra.process import signals
from infra.process.child import NotifyReady

PATH = "/metrics"
OPENMETRICS = "application/openmetrics-text"
# Minimum interval between two expositions; scrapes in between share the next one.
PACE_SECONDS = 0.2
CLIENT_SECONDS = 10.0
MAX_CONNECTIONS = 64
MAX_HEAD_BYTES = 8192
MAX_MESSAGE_BYTES = 1 << 20
# Low priority: server processes get the CPU first.
NICENESS = 10

# Their imports declare the metrics of the messages.
_DECLARING = (metrics, task_metrics)
# The name in the role of each process: what the instance's processes do.
_ROLES = {Instance.API: "server", Instance.WORKER: "task"}

Read = Callable[[], Awaitable[list[Reading]]]


@dataclass(frozen=True)
class Source:
    """What an exposition is made of.

    `receiver` gets the counts of the processes that `parent` has forked. `readings` opens what is
    read for each scrape.
    """

    instance: Instance
    parent: int
    receiver: socket.socket
    readings: Callable[[], AbstractAsyncContextManager[Read]]


def answer(listening: socket.socket, source: Source, ready: NotifyReady) -> None:
    """Serve scrapes in a separate process until a signal; call `ready` once it accepts them."""
    # An unprivileged process may only lower its priority, so an even lower one stays.
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(signals.Stopped):
        signals.run(_Scrapes(source).serve(listening, ready))


class _Scrapes:
    """Keeps the totals of the instance and serves scrapes of them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._totals = Totals(source.instance)
        self._processes = Processes(source.parent, _ROLES[source.instance])
        self._expositions: SingleFlight[str, tuple[bytes, str]] = SingleFlight()
        self._next = 0.0
        self._open = 0

    async def serve(self, listening: socket.socket, ready: NotifyReady) -> None:
        """Receive the processes' counts and serve scrapes until cancelled."""
        asyncio.get_running_loop().add_reader(self._source.receiver, self._receive)
        async with self._source.readings() as self._read:
            server = await asyncio.start_server(self._answer, sock=listening, limit=MAX_HEAD_BYTES)
            async with server:
                ready()
                await server.serve_forever()

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            self._totals.add(self._source.receiver.recv(MAX_MESSAGE_BYTES))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(CLIENT_SECONDS):
                if self._open <= MAX_CONNECTIONS:
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._response(head))
                    await writer.drain()
            writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open -= 1

    async def _response(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].partition(b"?")[0]
        status, body, content_type = HTTPStatus.OK, b"", "text/plain; charset=utf-8"
        if target != PATH.encode():
            status = HTTPStatus.NOT_FOUND
        elif method not in {b"GET", b"HEAD"}:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        else:
            body, content_type = await self._exposition(_accept_of(head))
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "Allow: GET, HEAD",
            "Vary: Accept",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
        )
        shown = b"" if method == b"HEAD" else body
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + shown

    async def _exposition(self, accept: str) -> tuple[bytes, str]:
        # Two formats only, however the client words its wish.
        offered = OPENMETRICS if OPENMETRICS in accept else ""
        return await self._expositions.run(offered, lambda: self._make(offered))

    async def _make(self, accept: str) -> tuple[bytes, str]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next - loop.time())
        self._next = loop.time() + PACE_SECONDS
        read = [each.family() for each in await self._read()]
        families = Families([build_info(), *read])
        return exposition(accept, self._totals, self._processes, families)


def _accept_of(head: bytes) -> str:
    """Return the formats that a client accepts."""
    lines = head.decode("latin-1").lower().split("\r\n")
    return ",".join(line.partition(":")[2] for line in lines if line.startswith("accept:"))


@asynccontextmanager
async def no_readings() -> AsyncIterator[Read]:
    """Read nothing for a scrape."""

    async def read() -> list[Reading]:
        return []

    yield read
