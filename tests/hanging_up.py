"""Clients that reset the connection before the response."""

import asyncio
import socket
import struct
from urllib.parse import urlsplit

import httpx

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def hang_up(request: httpx.Request, after: float) -> None:
    """Send a request over a new connection, and reset it after `after` seconds."""
    address = urlsplit(str(request.url))
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + request.read())
    await asyncio.sleep(after)
    line = writer.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
