"""A minimum rate for requests, so that a slow client cannot hold a connection for long.

Sanic's timeouts count from the last byte, so occasional bytes would keep a connection and its
buffered bytes for ever. Here each byte extends the deadline only by the time that it takes at
`MIN_BYTES_PER_SECOND`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from sanic.http import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from api.protocol.sockets import has_input

MIN_BYTES_PER_SECOND = 16 * 1024


class SlowClientProtocol(HttpProtocol):
    """Sanic's protocol, with request timeouts that count from the start of the request."""

    __slots__ = ("_keep_alive_seconds",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the first request the same time as any request."""
        super().connection_made(transport)  # type: ignore[no-untyped-call]
        # How long a connection may be idle after its first request.
        self._keep_alive_seconds = self.keep_alive_timeout
        self.keep_alive_timeout = self.request_timeout

    def close_if_idle(self, seconds: float = 0.0) -> bool:
        """Close the connection if for so long no request has run on it or begun to arrive."""
        # It has no `_http` before its task begins, and none after its end.
        http: Any = getattr(self, "_http", None)
        transport: Any = self.transport
        if http is None or http.stage is not Stage.IDLE or self.recv_buffer:
            return False
        if time.monotonic() - self._time < seconds or has_input(transport.get_extra_info("socket")):
            return False
        self.close()
        return True

    def data_received(self, data: bytes) -> None:
        """Pass the bytes to Sanic, and extend the deadline by their time at the minimum rate."""
        http: Any = getattr(self, "_http", None)
        since = self._time
        super().data_received(data)
        # Neither attribute exists before the connection's task has begun. The first bytes of most
        # clients come earlier.
        has_begun = http is not None and hasattr(http, "request_body")
        if has_begun and (http.stage is not Stage.IDLE or http.request_body):
            self._time = min(self._time, since + len(data) / MIN_BYTES_PER_SECOND)
        else:
            self.keep_alive_timeout = self._keep_alive_seconds


class Deadline:
    """The deadline of a body: `seconds`, extended at the minimum rate by each byte."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._seconds = seconds
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._end = self._now() + seconds
        timeout.reschedule(self._end)

    def extend(self, size: int) -> None:
        """Extend the deadline by the time of `size` bytes, to at most `seconds` from now."""
        bought = self._end + size / MIN_BYTES_PER_SECOND
        self._end = min(bought, self._now() + self._seconds)
        self._timeout.reschedule(self._end)


def hang_up(request: Any) -> None:
    """Close the connection after the response; later bytes are not parsed."""
    request.stream.keep_alive = False
