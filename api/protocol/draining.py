"""The end of a server process, in an order that loses no request (ADR 37).

Every response says `Connection: close`, so that clients go elsewhere. The listener closes after a
grace period, in which a load balancer notices that the instance is not ready. Idle connections are
closed last: a request may be on its way to them.
"""

import asyncio
import socket
from typing import Any

from api.context import Application
from api.protocol.accept import AcceptBurst
from api.protocol.sockets import has_input

POLL_SECONDS = 0.05
# A new connection has so long for its first request to arrive.
QUIET_SECONDS = 1.0
# How long running requests may take to end, after the grace period.
REQUESTS_SECONDS = 8.0


class Drain:
    """The drain of one server process, which begins when it is made."""

    def __init__(self, app: Application, server: Any, accept: AcceptBurst) -> None:
        self._server = server
        self._accept = accept
        self._seconds = app.ctx.settings.drain_seconds
        self._now = asyncio.get_running_loop().time
        self._grace_end = self._now() + self._seconds
        self._end = self._grace_end + REQUESTS_SECONDS
        app.ctx.streams.end()
        app.ctx.is_draining = True
        app.ctx.fast_path.close()

    async def wait_and_close_listener(self, listening: socket.socket) -> None:
        """Go on accepting for the grace period, and close the listener when none waits for it."""
        await asyncio.sleep(self._grace_end - self._now())
        while has_input(listening) and self._now() < self._end:  # noqa: ASYNC110  the kernel's queue
            await asyncio.sleep(0)
        self._server.close()

    async def end_connections(self) -> None:
        """Wait for the requests that run or arrive, close idle connections, abort the rest."""
        quiet_seconds = min(self._seconds, QUIET_SECONDS)
        connections = self._server.connections
        # At least once, because a connection that is being accepted is not yet among them.
        await asyncio.sleep(POLL_SECONDS)
        while (connections or self._accept.is_busy) and self._now() < self._end:
            if self._now() >= self._grace_end:
                for connection in list(connections):
                    connection.close_if_idle(quiet_seconds)
            await asyncio.sleep(POLL_SECONDS)
        for connection in list(connections):
            connection.abort()
