"""Proxies of tests: what one stream brings is written to another."""

import asyncio
import ssl
from contextlib import closing, suppress

CHUNK = 1 << 16


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read until one of both ends, and close the writer then."""
    with closing(writer), suppress(OSError, ssl.SSLError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
