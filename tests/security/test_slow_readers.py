"""Clients that read slowly or not at all cost little memory and are disconnected."""

import json
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from tests.factories import COURSE, bearer, eventually, refused, token
from tests.processes import connections_of
from tests.security.servers import own_api

CLIENTS = 100
COURSES = 1000
MIB = 1024 * 1024
LIST = "/api/v1/courses"
FILL = f"""
INSERT INTO courses (id, title, description, difficulty)
SELECT gen_random_uuid(), 'Course ' || n, repeat(md5(n::text), 320), 'Beginner'
FROM generate_series(1, {COURSES}) n
"""
RESPONSE_SECONDS = 2.0


@pytest.fixture(scope="module")
async def database(new_database):
    """A database whose list of courses has ten megabytes."""
    url = await new_database()
    connection = await asyncpg.connect(url)
    await connection.execute(FILL)
    yield url, connection
    await connection.close()


@pytest.fixture(scope="module")
async def server(service, database, tmp_path_factory):
    """An API that gives clients two seconds."""
    settings = {"RESPONSE_SECONDS": str(RESPONSE_SECONDS), "DATABASE_URL": database[0]}
    async with own_api(service, tmp_path_factory.mktemp("reading"), **settings) as server:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            whole = await client.get(LIST)
            assert len(whole.content) > 10_000_000
            assert (await client.get(f"{LIST}?limit=40")).status_code == 200
        yield server


def used(server) -> int:
    """Return the memory of the server's processes."""
    processes = [server.process, *server.process.children(recursive=True)]
    return sum(each.memory_info().rss for each in processes)


def open_connections(server) -> int:
    """Return the server's number of client connections."""
    processes = [server.process, *server.process.children(recursive=True)]
    port = urlsplit(server.address).port
    each = [one for found in connections_of(processes).values() for one in found]
    return len({one.raddr for one in each if one.raddr and one.laddr.port == port})


def connect(server, stack: ExitStack) -> socket.socket:
    """Return a connection with a small receive buffer."""
    where = urlsplit(server.address)
    one = stack.enter_context(socket.socket())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(30)
    one.connect((where.hostname, where.port))
    return one


def ask(target: str) -> bytes:
    """Return a plain request."""
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@pytest.mark.parametrize("target", [LIST, f"{LIST}?limit=40", "/swagger/swagger-ui-bundle.js"])
async def test_clients_that_do_not_read_cost_little_memory_and_are_disconnected(server, target):
    before = used(server)
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            # The connection now waits for a request, so the next one takes the fast path.
            one = connect(server, stack)
            one.sendall(ask("/health/live"))
            assert one.recv(100)
            one.sendall(ask(target))
        async with httpx.AsyncClient(base_url=server.address, timeout=30) as client:
            for _ in range(10):
                assert (await client.get("/health/live")).status_code == 200
                assert used(server) - before < 150 * MIB

        async def are_gone() -> bool:
            return open_connections(server) == 0

        # Small bodies fit into the kernel's buffers, so these connections stay for a while.
        if target == LIST:
            await eventually(are_gone, within=RESPONSE_SECONDS * 10)


async def test_pipelined_requests_are_answered_at_the_speed_of_the_reader(server):
    before = used(server)
    with ExitStack() as stack:
        one = connect(server, stack)
        one.sendall(ask(LIST) * 100)
        deadline = time.monotonic() + 3
        async with httpx.AsyncClient(base_url=server.address, timeout=30) as client:
            while time.monotonic() < deadline:
                assert (await client.get("/health/live")).status_code == 200
                assert used(server) - before < 40 * MIB


def test_a_client_that_reads_byte_by_byte_is_disconnected(server):
    with ExitStack() as stack:
        one = connect(server, stack)
        one.sendall(ask(LIST))
        deadline = time.monotonic() + RESPONSE_SECONDS * 10
        with pytest.raises(ConnectionError):
            while True:
                assert time.monotonic() < deadline
                assert one.recv(1)
                time.sleep(0.1)
                # Bytes sent before the end can still be read; a write reports the end.
                one.sendall(b"\r\n")


def test_a_slow_but_steady_reader_gets_everything(server):
    with ExitStack() as stack:
        one = connect(server, stack)
        one.sendall(ask(LIST).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        started, found = time.monotonic(), bytearray()
        while piece := one.recv(100_000):
            found += piece
            time.sleep(0.0005)
        assert time.monotonic() - started > RESPONSE_SECONDS / 10
    head, _, body = bytes(found).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(json.loads(body)) == COURSES


async def test_a_handler_that_takes_too_long_is_503(server, database):
    _, connection = database
    async with httpx.AsyncClient(base_url=server.address, timeout=30) as client:
        [course] = (await client.get(f"{LIST}?limit=1")).json()["data"]
        async with connection.transaction():
            await connection.execute("SELECT FROM courses WHERE id = $1 FOR UPDATE", course["id"])
            headers = bearer(token(role="admin"))
            response = await client.put(f"{LIST}/{course['id']}", json=COURSE, headers=headers)
    message = response.json()["message"]
    assert message in {
        "The request took too long; try again soon",
        "The database is unavailable; try again soon",
    }
    refused(response, 503, "UNAVAILABLE", message)
    assert int(response.headers["retry-after"]) > 0
