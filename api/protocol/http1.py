"""Sanic's HTTP/1.1, with bounds on unread request bodies and on bodies being sent.

A client reads the response after it has sent its body. A connection reset can destroy a response
before the client reads it. So the server reads and discards the rest of the body, within bounds of
bytes and time. If the rest is larger than a kept connection may discard, the response has
`Connection: close`. The server then closes the connection by RFC 9112 9.6: first for writing, and
for reading when the client has closed it or a bound is reached.
"""

import asyncio
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any

from sanic.exceptions import BadRequest
from sanic.headers import format_http1_response
from sanic.helpers import has_message_body
from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE
from sanic.response import BaseHTTPResponse

from api.protocol.slow_clients import Deadline

MIB = 1024 * 1024
# The allowance over the largest body that any operation accepts.
EXTRA_BYTES = MIB
MAX_LINGER_BYTES = 128 * MIB
MAX_LINGER_SECONDS = 30.0
# After so long without a byte the client is taken for gone.
MAX_IDLE_SECONDS = 5.0
# The bytes of one write. It exceeds the transport's high-water mark, so that the transport pauses
# writing at once if the socket does not accept all of it.
SLICE_BYTES = 128 * 1024
# The framing headers that all servers parse in the same way. Sanic also accepts non-ASCII digits
# and blanks, chunk lengths with 0x, and any bytes after a chunk's data or in its extension. A proxy
# that parses these in another way sees other requests than this server (request smuggling).
_FRAMING = re.compile(
    rb"\r\n(content-length:[ \t]*[0-9]+[ \t]*|transfer-encoding:[ \t]*chunked)(\r\n|\Z)",
    re.IGNORECASE,
)
_CHUNK_LINE = re.compile(rb"\r\n[0-9A-Fa-f]{1,16}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]{0,64})?\r\n")
MAX_CHUNK_LINE_BYTES = 128
# Most headers repeat on every response.
MAX_LINES = 1024
_BREAKS = str.maketrans("", "", "\r\n\0")


@lru_cache(maxsize=MAX_LINES)
def _line(name: str, value: object) -> bytes:
    """Return a header as it is sent, without characters that would begin another line."""
    return f"{name}: {value}".translate(_BREAKS).encode(errors="surrogateescape") + b"\r\n"


@lru_cache
def _status_line(status: int) -> bytes:
    return format_http1_response(status, ()).removesuffix(b"\r\n")


def head_of(response: BaseHTTPResponse, length: int | None, connection: str) -> bytes:
    """Return the head of a whole response; `length` is None if the status allows no body."""
    headers = response.headers
    if length is not None:
        headers["content-length"] = length
    headers["connection"] = connection
    if length is not None:
        headers.setdefault("content-type", response.content_type)
    lines = [_line(name, value) for name, value in headers.items()]
    return b"".join((_status_line(response.status), *lines, b"\r\n"))


class BoundedHttp(Http):
    """The HTTP/1.1 connection of a `FlowControlProtocol`."""

    __slots__ = ("has_unread",)

    # Sanic's declared types are too narrow.
    protocol: Any
    request_body: Any
    request_max_size: Any
    response_func: Any

    def __init__(self, protocol: Any) -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]
        # True if the connection closes with an unread rest of a body.
        self.has_unread = False

    async def http1(self) -> None:
        """Handle requests while the connection is kept, then close it."""
        await super().http1()  # type: ignore[no-untyped-call]
        await self._linger()

    async def http1_request_header(self) -> None:
        """Read a head, after the client has read the earlier responses.

        Raises:
            BadRequest: its framing headers do not follow RFC 9112.

        """
        await self.protocol.writable()
        await super().http1_request_header()  # type: ignore[no-untyped-call]
        # No WebSocket is served, and Sanic stops its timeouts for an upgrade request.
        self.upgrade_websocket = False
        if self.request_body:
            is_chunked = self.request_body == "chunked"
            if not _FRAMING.search(self.request.head) or (
                is_chunked and self.request.version == "1.0"
            ):
                raise BadRequest("Bad framing")

    async def read(self) -> bytes | None:
        """Read some bytes of the body.

        Raises:
            BadRequest: the framing of a chunk does not follow RFC 9112.

        """
        if self.request_body == "chunked" and not self.request_bytes_left:
            await self._check_chunk_line()
        data: bytes | None = await super().read()
        return data

    async def _check_chunk_line(self) -> None:
        if self.expecting_continue:
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)
        buffer = self.recv_buffer
        while buffer.find(b"\r\n", 2) < 0 and len(buffer) <= MAX_CHUNK_LINE_BYTES:
            await self._receive_more()
        if not _CHUNK_LINE.match(buffer):
            self.keep_alive = False
            raise BadRequest("Bad chunked encoding")

    async def http1_response_header(self, data: bytes, end_stream: bool) -> None:  # noqa: FBT001  Sanic's
        """Send a head together with its body."""
        is_draining = self.protocol.app.ctx.is_draining
        if is_draining or (self.request_body and not self._is_discardable()):
            self.keep_alive = False
        # Sanic would send 100 before a final status, and the client would send an unread body.
        self.expecting_continue = False
        response: Any = self.response
        if end_stream or response.body:
            await self._send_whole(response, data or response.body or b"")
        else:
            await super().http1_response_header(data, end_stream)

    async def _send_whole(self, response: Any, body: bytes) -> None:
        has_body: bool = has_message_body(response.status)  # type: ignore[no-untyped-call]
        length = len(body) if has_body else None
        if self.head_only and has_body:
            # A handler declares the length itself if it does not load the body for HEAD.
            length = response.headers.get("content-length", length)
        head = head_of(response, length, "keep-alive" if self.keep_alive else "close")
        self.response_func = None
        if self.head_only or not has_body:
            body = b""
        if len(body) <= SLICE_BYTES:
            await self._send(head + body)
        else:
            await self._send(head)
            self.stage = Stage.RESPONSE
            await self._send_slices(body)
        self.stage = Stage.IDLE

    async def _send_slices(self, body: bytes) -> None:
        self.protocol.sending = body
        rest: Any = memoryview(body)
        while rest:
            piece, rest = rest[:SLICE_BYTES], rest[SLICE_BYTES:]
            await self._send(piece)
        self.protocol.sending = b""

    async def error_response(self, exception: Exception) -> None:
        """Send an error response, and discard the body that Sanic would wait for."""
        await super().error_response(exception)
        await self.discard_body()

    def _is_discardable(self) -> bool:
        """Return whether the rest of the body is small enough to discard and keep the connection.

        A client that waits for 100 may not send its body, and a chunked body has no known length.
        """
        if self.request_body is not True or self.expecting_continue:
            return False
        return bool(self.request_bytes_left <= self.protocol.max_body_bytes + EXTRA_BYTES)

    async def discard_body(self) -> None:
        """Read the rest of the request's body; close the connection if it is too large."""
        if not self.request_body or self.stage is not Stage.IDLE:
            return
        if self.keep_alive:
            # The length was bounded when the head of the response was sent.
            self.request_max_size = self.request_bytes
            try:
                await self._discard_rest()
            except TimeoutError:
                # The client has had time to read the response.
                self.protocol.transport.close()
        if self.request_body:
            self.keep_alive = False
            self.has_unread = True
            self.request_body = None

    async def _discard_rest(self) -> None:
        async with asyncio.timeout(None) as timeout:
            deadline = Deadline(timeout, self._idle_seconds())
            while self.request_body:
                deadline.extend(len(await self.read() or b""))

    async def _linger(self) -> None:
        """Discard the bytes that the client still sends, so that it can read the last response."""
        transport = self.protocol.transport
        is_gone = transport is None or transport.is_closing()
        if is_gone or not (self.has_unread or self.request_body or self.recv_buffer):
            return
        if transport.can_write_eof():
            transport.write_eof()
        left = MAX_LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_LINGER_SECONDS), asyncio.timeout(None) as timeout:
                deadline = Deadline(timeout, self._idle_seconds())
                while (left := left - len(self.recv_buffer)) > 0:
                    deadline.extend(len(self.recv_buffer))
                    self.recv_buffer.clear()
                    await self._receive_more()

    def _idle_seconds(self) -> float:
        return min(MAX_IDLE_SECONDS, float(self.protocol.request_timeout))
