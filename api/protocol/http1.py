"""Sanic's HTTP/1.1, with bounds on the bodies that nobody asked for and on those being sent.

A client that sends a body reads the response when it has sent all of it, or as much as it can. To
be readable, a response must not be followed by a reset: what is left of the body is read and
discarded, within bounds of bytes and time. A body beyond what keeps the connection is announced
with `Connection: close`, and the connection is closed as RFC 9112 9.6 says: first for writing, and
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
# Beside the largest body that any operation takes.
EXTRA_BYTES = MIB
MAX_LINGER_BYTES = 128 * MIB
MAX_LINGER_SECONDS = 30.0
# A client that sends nothing for so long reads no response either.
MAX_IDLE_SECONDS = 5.0
# So much of a body is written at once; it exceeds the transport's high-water mark, so that the
# transport writes it immediately, and tells at once if it could not.
SLICE_BYTES = 128 * 1024
# What says how long a body is, as every server reads it. Sanic takes digits of all scripts and
# blanks of all kinds, a chunk's length with 0x, and anything as the end of a chunk's data or in its
# extension: a proxy that reads these in another way sees other requests than this server does.
_FRAMING = re.compile(
    rb"\r\n(content-length:[ \t]*[0-9]+[ \t]*|transfer-encoding:[ \t]*chunked)(\r\n|\Z)",
    re.IGNORECASE,
)
_CHUNK_LINE = re.compile(rb"\r\n[0-9A-Fa-f]{1,16}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]{0,64})?\r\n")
MAX_CHUNK_LINE_BYTES = 128
# Most headers are the same on every response.
MAX_LINES = 1024
_BREAKS = str.maketrans("", "", "\r\n\0")


@lru_cache(maxsize=MAX_LINES)
def _line(name: str, value: object) -> bytes:
    """Return a header as it is sent; nothing in it begins another line."""
    return f"{name}: {value}".translate(_BREAKS).encode(errors="surrogateescape") + b"\r\n"


@lru_cache
def _status_line(status: int) -> bytes:
    return format_http1_response(status, ()).removesuffix(b"\r\n")


def head_of(response: BaseHTTPResponse, length: int | None, connection: str) -> bytes:
    """Return the head of a whole response; it has no length if it may have no body."""
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

    # Sanic declares these as less than they are.
    protocol: Any
    request_body: Any
    request_max_size: Any
    response_func: Any

    def __init__(self, protocol: Any) -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]
        # Whether the connection ends with a body that was not read to its end.
        self.has_unread = False

    async def http1(self) -> None:
        """Handle requests while the connection is kept, then close it."""
        await super().http1()  # type: ignore[no-untyped-call]
        await self._linger()

    async def http1_request_header(self) -> None:
        """Read a head, when the client has read the responses before.

        Raises:
            BadRequest: what it says of the body is not as RFC 9112 has it.

        """
        await self.protocol.writable()
        await super().http1_request_header()  # type: ignore[no-untyped-call]
        # No WebSocket is served, and Sanic stops its clocks for a client that asks for one.
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
            BadRequest: a chunk is not framed as RFC 9112 has it.

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
        """Send a head, and the body that comes with it."""
        if self.request_body and not self._is_discardable():
            self.keep_alive = False
        # Sanic would send 100 before a final status; nobody is to send what nobody reads.
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
            # The length of a body that was not read for its head is declared already.
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
        """Answer with an error, and leave no body that Sanic would wait for."""
        await super().error_response(exception)
        await self.discard_body()

    def _is_discardable(self) -> bool:
        """Return whether the rest of the request's body is worth reading to keep the connection.

        A client that waits for 100 may or may not send it, and a chunked one may be endless.
        """
        if self.request_body is not True or self.expecting_continue:
            return False
        return bool(self.request_bytes_left <= self.protocol.max_body_bytes + EXTRA_BYTES)

    async def discard_body(self) -> None:
        """Read what is left of the request's body; close the connection if that is too much."""
        if not self.request_body or self.stage is not Stage.IDLE:
            return
        if self.keep_alive:
            # Its length is known here, and bounded when the head of the response was sent.
            self.request_max_size = self.request_bytes
            try:
                await self._discard_rest()
            except TimeoutError:
                # The client has had the time to read the response.
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
        """Discard what the client still sends, so that it can read the last response."""
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
