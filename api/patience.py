"""How long a client may take to say something: whoever sends byte by byte holds nothing for long.

Sanic's timeouts count from the last byte, so a byte now and then would keep a connection, and what
it has sent so far, for ever. Here bytes buy the time that they would take at the slowest rate that
we bear, and no more.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sanic.http import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

MIN_BYTES_PER_SECOND = 16 * 1024


class PatientProtocol(HttpProtocol):
    """Sanic's protocol, with the timeouts of requests counted from where a request begins."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect the first request as soon as any request's end."""
        super().connection_made(transport)  # type: ignore[no-untyped-call]
        self.keep_alive_timeout = self.request_timeout

    def data_received(self, data: bytes) -> None:
        """Take bytes, and what time they buy."""
        # Neither is there before the connection's task has begun, nor when it has ended.
        http, since = getattr(self, "_http", None), self._time
        super().data_received(data)
        if http is None or not hasattr(http, "request_body"):
            return
        if http.stage is Stage.IDLE and not http.request_body:
            self.keep_alive_timeout = self.app.config.KEEP_ALIVE_TIMEOUT
        else:
            self._time = min(self._time, since + len(data) / MIN_BYTES_PER_SECOND)


class Deadline:
    """The end of a body that has to come within `seconds`, or as fast as we bear."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._seconds = seconds
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._end = self._now() + seconds
        timeout.reschedule(self._end)

    def extend(self, size: int) -> None:
        """Give the time that so many bytes buy."""
        bought = self._end + size / MIN_BYTES_PER_SECOND
        self._end = min(bought, self._now() + self._seconds)
        self._timeout.reschedule(self._end)


def hang_up(request: Any) -> None:
    """Close the connection with the answer, without waiting for what is still to come."""
    request.stream.keep_alive = False
    request.stream.request_body = None
