"""A log that nobody reads delays no request."""

import asyncio
import json
import os
import re
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from tests.factories import scrape
from tests.security.servers import own_api

REQUESTS = 3000
ID = "blocked-"
# A line is long, so that fewer requests fill what may wait.
HEAD = "GET /api/v1/courses?limit=1 HTTP/1.1\r\nHost: x\r\nX-Request-ID: {}\r\n\r\n"


def fill(pipe: int) -> None:
    """Fill a pipe with empty lines."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\n" * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\n")
    os.set_blocking(pipe, True)


async def send(address: str) -> None:
    """Send the requests one after the other on one connection."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for number in range(REQUESTS):
        writer.write(HEAD.format(f"{ID}{number}-".ljust(128, "x")).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()


async def test_a_blocked_standard_error_delays_no_request(service, tmp_path):
    reading, writing = os.pipe()
    fill(writing)
    settings = {"RATE_LIMIT_EXEMPT": "127.0.0.1", "LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
    async with own_api(service, tmp_path, stderr=writing, **settings) as server:
        os.close(writing)
        async with asyncio.timeout(60):
            await send(server.address)
        with os.fdopen(reading, "rb", buffering=0) as log:
            lines = await asyncio.to_thread(read_until_lost, log)
            assert await dropped(server.address)
            rest = asyncio.create_task(asyncio.to_thread(log.read))
            server.process.terminate()
            await asyncio.to_thread(server.process.wait, 20)
            lines += parsed(await rest)
    seen = [line for line in lines if line.get("request_id", "").startswith(ID)]
    lost = sum(line["lines"] for line in lines if line["event"] == "log_lines_lost")
    assert 0 < lost <= REQUESTS
    assert len(seen) + lost >= REQUESTS


async def dropped(address: str) -> float:
    """Return what the metrics say."""
    async with httpx.AsyncClient(base_url=address) as client:
        found = re.search(r"^log_lines_dropped_total (\S+)", await scrape(client), re.MULTILINE)
    assert found
    return float(found[1])


def read_until_lost(log) -> list[dict]:
    """Read lines until one reports lost ones."""
    read = b""
    while b'"log_lines_lost"' not in read or not read.endswith(b"\n"):
        read += log.read(65536)
    return parsed(read)


def parsed(text: bytes) -> list[dict]:
    """Return the lines that are not empty."""
    return [json.loads(line) for line in text.splitlines() if line]
