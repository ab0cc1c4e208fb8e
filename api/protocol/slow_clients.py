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


class SlowClientProtocol(HttpProtocol):
    """Sanic's protocol, with the timeouts of requests counted from where a request begins."""

    __slots__ = ("_keep_alive_seconds",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect the first request as soon as any request's end."""
        super().connection_made(transport)  # type: ignore[no-untyped-call]
        # How long a connection may be idle after its first request.
        self._keep_alive_seconds = self.keep_alive_timeout
        self.keep_alive_timeout = self.request_timeout

    def data_received(self, data: bytes) -> None:
        """Take bytes, and what time they buy."""
        http: Any = getattr(self, "_http", None)
        since = self._time
        super().data_received(data)
        # Neither is there before the connection's task has begun, which is when the first bytes
        # of most clients come.
        has_begun = http is not None and hasattr(http, "request_body")
        if has_begun and (http.stage is not Stage.IDLE or http.request_body):
            self._time = min(self._time, since + len(data) / MIN_BYTES_PER_SECOND)
        else:
            self.keep_alive_timeout = self._keep_alive_seconds


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
    """Close the connection with the response; what is still to come is not parsed."""
    request.stream.keep_alive = False
