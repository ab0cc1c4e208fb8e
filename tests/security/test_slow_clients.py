"""Clients that send byte by byte or stop halfway are disconnected and hold no resources."""

import asyncio
import json
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.factories import COURSE, bearer, eventually, token
from tests.processes import connections_of
from tests.security.servers import own_api

# Seconds, shorter than in production.
SHORT = {"REQUEST_SECONDS": "1", "RESPONSE_SECONDS": "4", "KEEP_ALIVE_SECONDS": "2"}
LATE = {
    "error": "Request timeout",
    "message": "The request did not arrive in time",
    "details": {"code": "INVALID_FORMAT"},
}
LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n"
WITHIN = 4.0


@pytest.fixture(scope="module")
async def hasty(service, tmp_path_factory):
    """An API with short timeouts: URL, process."""
    async with own_api(service, tmp_path_factory.mktemp("hasty"), **SHORT) as server:
        yield server.address, server.process


@pytest.fixture
async def connect(hasty):
    """Opens connections; all are closed at the end."""
    where, writers = urlsplit(hasty[0]), []

    async def open_one():
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writers.append(writer)
        return reader, writer

    yield open_one
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def outcome(reader: asyncio.StreamReader, started: float) -> tuple[str, dict]:
    """Return status and body of the response before the server closed."""
    async with asyncio.timeout(WITHIN * 3):
        whole = await reader.read()
    assert time.monotonic() - started < WITHIN
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return head.split(b" ", 2)[1].decode(), json.loads(body)


async def trickle(writer: asyncio.StreamWriter, text: bytes) -> None:
    """Send byte by byte until the server closes."""
    try:
        for byte in text:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass


async def test_headers_sent_byte_by_byte_time_out(connect):
    reader, writer = await connect()
    started = time.monotonic()
    sending = asyncio.create_task(trickle(writer, LOGIN + b"X-Slow: " + b"x" * 1000))
    assert await outcome(reader, started) == ("408", LATE)
    sending.cancel()


async def test_incomplete_headers_time_out(connect):
    reader, writer = await connect()
    started = time.monotonic()
    writer.write(LOGIN)
    assert await outcome(reader, started) == ("408", LATE)


async def test_a_websocket_request_has_the_same_timeout(connect):
    reader, writer = await connect()
    writer.write(
        LOGIN + b"Upgrade: websocket\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n"
    )
    await asyncio.sleep(0.8)  # its handler waits for the body when the timeouts are checked
    writer.write(b"{}")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    started = time.monotonic()
    writer.write(LOGIN)
    async with asyncio.timeout(WITHIN):
        assert b"HTTP/1.1 408 " in await reader.read()
    assert time.monotonic() - started < WITHIN


async def test_an_idle_connection_times_out(connect):
    reader, _ = await connect()
    started = time.monotonic()
    async with asyncio.timeout(WITHIN):
        assert await reader.read() == b""
    assert time.monotonic() - started < WITHIN


@pytest.mark.parametrize("delay", [0, 0.3])
async def test_the_keep_alive_time_does_not_depend_on_the_first_request(hasty, delay):
    def seconds_kept() -> float:
        where = urlsplit(hasty[0])
        with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
            time.sleep(delay)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            answered = time.monotonic()
            assert connection.recv(65536) == b""
            return time.monotonic() - answered

    assert await asyncio.to_thread(seconds_kept) > 1.9


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"]
)
async def test_a_body_sent_byte_by_byte_times_out(connect, framing):
    reader, writer = await connect()
    started = time.monotonic()
    writer.write(LOGIN + framing)
    sending = asyncio.create_task(trickle(writer, b" " * 1000))
    assert await outcome(reader, started) == ("408", LATE)
    sending.cancel()


def half_an_upload() -> bytes:
    """Return an upload with a Content-Length of five megabytes and one megabyte of body."""
    return (
        b"POST /api/v1/courses/upload HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: " + bearer(token(role="admin"))["Authorization"].encode() + b"\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
        + bytes(1_000_000)
    )


async def test_half_an_upload_times_out(connect):
    reader, writer = await connect()
    started = time.monotonic()
    writer.write(half_an_upload())
    assert await outcome(reader, started) == ("408", LATE)


async def test_half_of_an_unread_body_times_out(connect):
    reader, writer = await connect()
    started = time.monotonic()
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    async with asyncio.timeout(WITHIN * 2):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - started < 1  # the response did not wait for the body
        sending = asyncio.create_task(trickle(writer, b" " * 1000))
        await reader.read()
    sending.cancel()


async def test_a_slow_but_steady_upload_succeeds(hasty):
    address, _ = hasty
    body = json.dumps(COURSE | {"description": "slow"}).encode().ljust(100_000)

    async def steady():
        for start in range(0, len(body), 5_000):
            yield body[start : start + 5_000]
            await asyncio.sleep(0.1)

    async with httpx.AsyncClient(base_url=address) as client:
        started = time.monotonic()
        headers = bearer(token(role="admin"))
        response = await client.post("/api/v1/courses", content=steady(), headers=headers)
        assert time.monotonic() - started > 1.5  # longer than the limit without a new byte
        assert response.status_code == 201, response.text


def open_connections(servers: list[psutil.Process], port: int) -> int:
    """Return the server's number of client connections."""
    each = [one for connections in connections_of(servers).values() for one in connections]
    return len([one for one in each if one.laddr.port == port and one.raddr])


def used(servers: list[psutil.Process]) -> int:
    """Return the server's memory."""
    return sum(one.memory_info().rss for one in servers)


async def test_many_slow_clients_hold_no_resources(hasty, connect):
    address, process = hasty
    servers = process.children(recursive=True)
    port, memory = urlsplit(address).port, used(servers)
    slow = [await connect() for _ in range(40)]
    for number, (_, writer) in enumerate(slow):
        writer.write(half_an_upload() if number % 2 else LOGIN)
    async with httpx.AsyncClient(base_url=address) as client:
        started = time.monotonic()
        assert (await client.get("/api/v1/courses?page=1")).status_code == 200
        assert time.monotonic() - started < 1

    async def are_gone():
        return open_connections(servers, port) == 0

    await eventually(are_gone, within=WITHIN * 2)
    assert used(servers) - memory < 60 * 1024 * 1024
