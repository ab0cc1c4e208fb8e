"""Serves Prometheus scrapes in a separate process, on a separate address.

Scrapes therefore take no time from the event loops that serve clients.
"""

import asyncio
import os
import socket
from contextlib import suppress
from http import HTTPStatus

from infra.aio.singleflight import SingleFlight
from infra.db.engine import UNUSABLE, open_pool
from infra.observability import logs, metrics
from infra.observability.meters import LabelValues, Totals
from infra.observability.metrics import Reading
from infra.process import signals
from infra.process.prefork import NotifyReady
from infra.queue.stats import UNASSIGNED, QueueStats, queue_stats

PATH = "/metrics"
# Minimum interval between two expositions; scrapes in between share the next one.
PACE_SECONDS = 0.2
# Time limit of the query of the queues; after it the exposition omits their metrics.
DATABASE_SECONDS = 2.0
CLIENT_SECONDS = 10.0
MAX_CONNECTIONS = 64
MAX_HEAD_BYTES = 8192
MAX_MESSAGE_BYTES = 1 << 20
# Low priority: server processes get the CPU first.
NICENESS = 10

_states = LabelValues("queued", "running", "failed")

log = logs.get_logger(__name__)


def answer(
    listening: socket.socket, receiver: socket.socket, database_url: str, ready: NotifyReady
) -> None:
    """Serve scrapes in a separate process until a signal; call `ready` once it accepts them."""
    # An unprivileged process may only lower its priority, so an even lower one stays.
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(signals.Stopped):
        signals.run(_Scrapes(receiver, database_url).serve(listening, ready))


class _Scrapes:
    """Keeps the totals of the instance and serves scrapes of them."""

    def __init__(self, receiver: socket.socket, database_url: str) -> None:
        self._receiver = receiver
        self._database_url = database_url
        self._totals = Totals()
        self._expositions: SingleFlight[str, bytes] = SingleFlight()
        self._next = 0.0
        self._open = 0

    async def serve(self, listening: socket.socket, ready: NotifyReady) -> None:
        """Receive the server processes' metrics and serve scrapes until cancelled."""
        asyncio.get_running_loop().add_reader(self._receiver, self._receive)
        async with open_pool(self._database_url, pool_size=1) as source:
            self._source = source
            server = await asyncio.start_server(self._answer, sock=listening, limit=MAX_HEAD_BYTES)
            async with server:
                ready()
                await server.serve_forever()

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            self._totals.add(self._receiver.recv(MAX_MESSAGE_BYTES))

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
        status, body = HTTPStatus.OK, b""
        if target != PATH.encode():
            status = HTTPStatus.NOT_FOUND
        elif method not in {b"GET", b"HEAD"}:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        else:
            body = await self._expositions.run("exposition", self._make)
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {metrics.CONTENT_TYPE}",
            f"Content-Length: {len(body)}",
            "Allow: GET, HEAD",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
        )
        shown = b"" if method == b"HEAD" else body
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + shown

    async def _make(self) -> bytes:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next - loop.time())
        self._next = loop.time() + PACE_SECONDS
        return metrics.exposition(self._totals, await self._readings())

    async def _readings(self) -> list[Reading]:
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                return _task_readings(await queue_stats(self._source))
        except UNUSABLE as error:  # TimeoutError is an OSError
            log.warning("queues_not_read", error=str(error))
            return []


def _task_readings(found: list[QueueStats]) -> list[Reading]:
    # Always at least one queue, so that an empty table reads 0 and not absent.
    queues = {UNASSIGNED: QueueStats(UNASSIGNED), **{each.queue: each for each in found}}.values()
    open_tasks: dict[tuple[str, ...], float] = {
        (each.queue, state): float(getattr(each, state))
        for each in queues
        for state in ("queued", "running", "failed")
    }
    oldest: dict[tuple[str, ...], float] = {
        (each.queue,): each.oldest_due_seconds for each in queues
    }
    queue = metrics.queues
    return [
        Reading(
            "tasks_open", "Tasks that are not done.", {"queue": queue, "state": _states}, open_tasks
        ),
        Reading(
            "tasks_oldest_due_seconds",
            "How long the task that waits longest could have run.",
            {"queue": queue},
            oldest,
        ),
    ]
