"""Reading the body of a request, as long as it may be and as fast as it must come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sanic import Request
from sanic.exceptions import RequestTimeout

from api.protocol.slow_clients import Deadline, hang_up
from services.errors import TooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, streamed by the server; `http1` discards what is over the limit.

    Raises:
        TooLarge: it has more than `limit` bytes.
        RequestTimeout: it comes too slowly; the connection ends with the answer.

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
        # As nearly all are: nothing is to be waited for, and not for long either.
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
    """Tell whether all of a body whose length is known came with the head."""
    return stream.request_body is True and len(stream.recv_buffer) >= stream.request_bytes_left


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream
    while chunk := await stream.read():
        yield chunk
