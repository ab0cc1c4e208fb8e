"""A proxy in front of a server that answers falsely, cuts connections, or forwards them."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from urllib.parse import urlsplit

from tests.streams import CHUNK, carry

REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HALF_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<?xml version"

Lie = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def liar(endpoint: str, count: int) -> AsyncIterator[tuple[str, list[str]]]:
    """Run the proxy; it breaks `count` connections in different ways, then forwards all others.

    Yields its URL and a list of the faults that it has applied.
    """
    target = urlsplit(endpoint)
    told: list[str] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(target.hostname, target.port)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(CHUNK)
        writer.write(REFUSAL)

    async def answer_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(CHUNK)
        writer.write(HALF_ANSWER)

    async def cut_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward half of the object to be stored."""
        _, up = await connect()
        head = await reader.readuntil(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            head = head.replace(b"Expect: 100-continue\r\n", b"")
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        up.write(head + await reader.read(1000))
        await up.drain()
        up.close()

    async def drop_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the whole object, and drop the response."""
        down, up = await connect()
        sending = asyncio.create_task(carry(reader, up))
        await down.read(1)
        sending.cancel()
        up.close()

    lies: itertools.cycle[Lie] = itertools.cycle(
        (refuse, answer_half, cut_the_request, drop_the_answer)
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError, asyncio.IncompleteReadError):
            if len(told) < count:
                lie = next(lies)
                told.append(lie.__name__)
                await lie(reader, writer)
            else:
                down, up = await connect()
                await asyncio.gather(carry(reader, up), carry(down, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", told
    server.close()
