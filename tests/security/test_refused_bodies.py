"""Clients that send their whole body first can read the refusal."""

import asyncio
import http.client
import json
import shutil
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
import requests

from api.protocol.http1 import MAX_IDLE_SECONDS, MAX_LINGER_BYTES
from tests.absent import is_absent
from tests.factories import bearer, token
from tests.security.servers import own_api

SIZES = (500_000, 2_000_000, 4_500_000, 64_000_000)
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}
ADMIN = bearer(token(role="admin"))
LIMITED = {"X-Forwarded-For": "10.1.2.3"}
UPLOAD = "/api/v1/courses/upload"
NODE = """
const [url, method, headers, size, times] = JSON.parse(process.argv[1]);
for (let n = 0; n < times; n++) {
  const answer = await fetch(url, {method, headers, body: Buffer.alloc(size, 32)});
  console.log(answer.status, JSON.parse(await answer.text()).details.code);
}
"""
# Without draining the body, four of five clients of Node were cut off.
TIMES = 5


@dataclass(frozen=True)
class Denial:
    """A request, and its refusal with a body of each size."""

    method: str
    path: str
    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)


REFUSALS = [
    Denial("POST", UPLOAD, 401, "MISSING_TOKEN", FORM),
    Denial("POST", UPLOAD, 401, "INVALID_TOKEN", {"Authorization": "Bearer x", **FORM}),
    Denial("POST", UPLOAD, 403, "FORBIDDEN", bearer(token()) | FORM),
    Denial("POST", UPLOAD, 429, "RATE_LIMITED", ADMIN | LIMITED | FORM),
    Denial("POST", "/api/v1/nothing", 404, "NOT_FOUND", JSON),
    Denial("PUT", "/media/nothing.webp", 405, "METHOD_NOT_ALLOWED"),
    Denial("DELETE", "/health/live", 405, "METHOD_NOT_ALLOWED", JSON),
    Denial("PUT", "/api/v1/courses/x/image", 400, "INVALID_FORMAT", ADMIN | FORM),
]
# These depend on the size: a body over the limit is refused for its size.
LIMIT = 6_291_456
JSON_LIMIT = 1_048_576


def kept(url: str) -> closing[http.client.HTTPConnection]:
    """Return a connection of Python's own client."""
    where = urlsplit(url)
    return closing(http.client.HTTPConnection(where.hostname, where.port, timeout=60))


async def by_http_client(url, refusal, size, _folder):
    """Send everything, then read, as Python's own client does."""

    def ask():
        with kept(url) as connection:
            connection.request(refusal.method, refusal.path, b" " * size, refusal.headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())["details"]["code"]

    return await asyncio.to_thread(ask)


async def by_requests(url, refusal, size, _folder):
    """Ask with requests."""

    def ask():
        data, where = b" " * size, f"{url}{refusal.path}"
        with requests.request(
            refusal.method, where, data=data, headers=refusal.headers, timeout=60
        ) as response:
            return response.status_code, response.json()["details"]["code"]

    return await asyncio.to_thread(ask)


async def by_aiohttp(url, refusal, size, _folder):
    """Ask with aiohttp."""
    headers = {"Content-Type": "text/plain"} | refusal.headers
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            refusal.method, f"{url}{refusal.path}", data=BytesIO(b" " * size), headers=headers
        ) as response,
    ):
        return response.status, (await response.json())["details"]["code"]


async def by_httpx(url, refusal, size, _folder):
    """Send with httpx in chunks of unknown number."""

    async def chunks():
        for _ in range(0, size, 100_000):
            yield b" " * 100_000

    async with httpx.AsyncClient(timeout=60) as client:
        response = await client.request(
            refusal.method, f"{url}{refusal.path}", content=chunks(), headers=refusal.headers
        )
    return response.status_code, response.json()["details"]["code"]


async def by_node(url, refusal, size, _folder):
    """Send with Node's fetch; each repetition must have the same result."""
    if shutil.which("node") is None:
        is_absent("node", "nodejs")
    times = TIMES if size <= LIMIT else 1
    asked = [f"{url}{refusal.path}", refusal.method, refusal.headers, size, times]
    output = await run("node", "--input-type=module", "-e", NODE, json.dumps(asked))
    lines = output.splitlines()
    assert len(lines) == times, output
    (line,) = set(lines)
    status, code = line.split()
    return int(status), code


async def by_curl(url, refusal, size, folder):
    """Send with curl, which waits for 100 before a large body."""
    if shutil.which("curl") is None:
        is_absent("curl", "curl")
    (body := folder / "body").write_bytes(b" " * size)
    headers = [f"{name}: {value}" for name, value in refusal.headers.items()]
    given = [part for header in headers for part in ("--header", header)]
    output = await run(
        *("curl", "--silent", "--show-error", "--request", refusal.method, *given),
        *("--data-binary", f"@{body}", "--write-out", "\n%{http_code}", f"{url}{refusal.path}"),
    )
    content, status = output.rsplit("\n", 1)
    return int(status), json.loads(content)["details"]["code"]


async def run(*command: str) -> str:
    """Return a program's output."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


Ask = Callable[..., Awaitable[tuple[int, str]]]
CLIENTS = [by_http_client, by_requests, by_aiohttp, by_httpx, by_node, by_curl]


@pytest.fixture(scope="module")
async def server(service, tmp_path_factory):
    """An API that allows a non-exempt client one upload a minute."""
    settings = {
        "RATE_LIMIT_UPLOADS": "1",
        "RATE_LIMIT_READS": "1000000",
        "RATE_LIMIT_EXEMPT": "127.0.0.1",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    async with own_api(service, tmp_path_factory.mktemp("refusing"), **settings) as server:
        yield server


async def spend(server):
    """Leave the limited client no upload for a minute."""
    async with httpx.AsyncClient(base_url=server.address) as client:
        spent = await client.post(UPLOAD, content=b"--b--", headers=ADMIN | LIMITED | FORM)
        assert spent.status_code in {400, 429}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
async def test_every_client_can_read_the_refusal(server, tmp_path, ask: Ask, size):
    for refusal in (REFUSALS[0], REFUSALS[4]):
        expected = (refusal.status, refusal.code)
        assert await ask(server.address, refusal, size, tmp_path) == expected
    too_large = Denial("POST", "/api/v1/courses", 413, "PAYLOAD_TOO_LARGE", ADMIN | JSON)
    found = await ask(server.address, too_large, size, tmp_path)
    assert found == ((413, too_large.code) if size > JSON_LIMIT else (400, "MALFORMED_JSON"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: f"{each.code} {each.path}")
async def test_every_refusal_can_be_read(server, tmp_path, refusal, size):
    expected = (refusal.status, refusal.code)
    for ask in (by_http_client, by_aiohttp):
        if refusal.status == 429:
            await spend(server)
        assert await ask(server.address, refusal, size, tmp_path) == expected


@pytest.mark.parametrize("size", SIZES)
async def test_a_refusal_of_the_body_can_be_read(server, tmp_path, size):
    wrong = Denial("POST", UPLOAD, 400, "INVALID_FORMAT", ADMIN | {"Content-Type": "text/plain"})
    found = await by_http_client(server.address, wrong, size, tmp_path)
    assert found == ((413, "PAYLOAD_TOO_LARGE") if size > LIMIT else (400, "INVALID_FORMAT"))


@pytest.mark.parametrize("path", ["/health/live", "/api/v1/courses?page=1"])
@pytest.mark.parametrize("size", SIZES[1:])
def test_a_get_with_a_body_is_answered(server, path, size):
    with kept(server.address) as connection:
        connection.request("GET", path, b" " * size)
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())


def test_the_connection_is_kept_after_a_discarded_body(server):
    small = (0, 10, 100_000, LIMIT + 1_000_000, 10)
    with kept(server.address) as connection:
        for size in (*small, LIMIT + 2_000_000):
            connection.request("POST", "/nothing", b" " * size)
            response = connection.getresponse()
            how = "keep-alive" if size in small else "close"
            assert (response.status, response.getheader("connection")) == (404, how)
            assert json.loads(response.read())


def raw(server) -> socket.socket:
    """Return a connection."""
    where = urlsplit(server.address)
    return socket.create_connection((where.hostname, where.port), timeout=60)


@pytest.mark.parametrize("framing", [b"Content-Length: 2000000", b"Transfer-Encoding: chunked"])
def test_a_client_that_waits_for_100_gets_the_final_status_at_once(server, framing):
    with raw(server) as connection:
        started = time.monotonic()
        head = f"POST {UPLOAD} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n".encode()
        connection.sendall(head + framing + b"\r\n\r\n")
        found = b""
        while more := connection.recv(65536):
            found += more
        assert found.startswith(b"HTTP/1.1 401 ")
        assert b"\r\nconnection: close\r\n" in found
        assert b"100 Continue" not in found
        # The complete response with the end of the connection, before any byte of the body.
        assert time.monotonic() - started < 1


def test_an_accepted_body_gets_100_continue(server):
    body = b"{}"
    with raw(server) as connection:
        connection.sendall(
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def until_closed(connection: socket.socket, chunk: bytes, *, pause: float = 0.0) -> int:
    """Send chunks until the server closes; return the number of bytes that it accepted."""
    taken = 0
    try:
        while True:
            connection.sendall(chunk)
            taken += len(chunk)
            time.sleep(pause)
    except ConnectionError:
        return taken


def test_an_endless_body_is_cut_off(server):
    processes = [server.process, *server.process.children(recursive=True)]
    before = sum(one.memory_info().rss for one in processes)
    with raw(server) as connection:
        connection.sendall(
            b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"
        )
        taken = until_closed(connection, bytes(1_000_000))
    assert MAX_LINGER_BYTES <= taken < MAX_LINGER_BYTES + 20_000_000
    assert sum(one.memory_info().rss for one in processes) - before < 20_000_000


@pytest.mark.parametrize("size", [1_000_000, 99_999_999_999])
def test_a_body_byte_by_byte_is_cut_off(server, size):
    with raw(server) as connection:
        connection.sendall(
            f"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        started = time.monotonic()
        until_closed(connection, b" ", pause=0.2)
        assert time.monotonic() - started < MAX_IDLE_SECONDS + 3
