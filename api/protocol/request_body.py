"""Reading the body of a request, with bounds on its size and its rate."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sanic import Request
from sanic.exceptions import RequestTimeout

from api.protocol.slow_clients import Deadline, hang_up
from services.errors import TooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, which the server streams; `http1` discards the bytes over the limit.

    Raises:
        TooLarge: the body has more than `limit` bytes.
        RequestTimeout: the body arrives too slowly; the connection closes after the response.

    """
    if int(request.headers.get("content-length", 0)) <= limit:
        try:
            body = await _read(request, limit)
        except TimeoutError:
            hang_up(request)
            raise RequestTimeout from None
        if len(body) <= limit:
            return body
    raise TooLarge(f"The request body may have at most {limit} bytes")


async def _read(request: Request, limit: int) -> bytes:
    """Return the body, or its beginning if it has more than `limit` bytes."""
    if _is_here(request.stream):
        # The usual case: it needs no wait, so no deadline.
        return b"".join([chunk async for chunk in _chunks(request)])
    body = bytearray()
    async with asyncio.timeout(None) as timeout:
        deadline = Deadline(timeout, request.app.ctx.settings.request_seconds)
        async for chunk in _chunks(request):
            body += chunk
            if len(body) > limit:
                break
            deadline.extend(len(chunk))
    return bytes(body)


def _is_here(stream: Any) -> bool:
    """Return whether a body of known length has arrived whole with its head."""
    return stream.request_body is True and len(stream.recv_buffer) >= stream.request_bytes_left


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream
    while chunk := await stream.read():
        yield chunk
