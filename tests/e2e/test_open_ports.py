"""Every port of `make run` requires credentials, except for documented public content.

The kernel lists the ports, so that a new port of any part is tested as well.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from tests.metrics_of import addresses
from tests.processes import connections_of

ANSWER_SECONDS = 5.0
AT_ONCE = 64
CROSS_SITE = {"Origin": "https://evil.example.org", "Sec-Fetch-Site": "cross-site"}
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    b"written by a stranger\r\n--x--\r\n"
)
PATHS = ("/", "/media/x", "/buckets/media/x", "/dir/assign", "/api/worker/shutdown/worker@host")
POSTGRES_STARTUP = b"\0\0\0\x21\0\3\0\0user\0enroll\0database\0postgres\0\0"[4:]
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


REFUSALS = (
    *(b"-NOAUTH", b"-ERR", b"-DENIED"),  # -
    b"\x15",  # a TLS alert
    *(b"E", b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256"),  # PostgreSQL
)


class Probe(NamedTuple):
    """The bytes that an unauthenticated client sends."""

    name: str
    data: bytes
    is_read: bool


def request(method, path, body=b"", **headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def probes():
    for path in PATHS:
        yield Probe(f"GET {path}", request("GET", path), is_read=True)
        yield Probe(f"PUT {path}", request("PUT", path, b"mine"), is_read=False)
        yield Probe(f"DELETE {path}", request("DELETE", path), is_read=False)
        form = {"Content-Type": "multipart/form-data; boundary=x"} | CROSS_SITE
        yield Probe(f"POST {path}", request("POST", path, FORM, **form), is_read=False)
    yield Probe("Redis", b"*1\r\n$4\r\nPING\r\n", is_read=True)
    yield Probe("Redis inline", b"FLUSHALL\r\n", is_read=False)
    startup = len(POSTGRES_STARTUP) + 4
    yield Probe("PostgreSQL", startup.to_bytes(4) + POSTGRES_STARTUP, is_read=True)
    yield Probe("gRPC", HTTP2_PREFACE, is_read=True)


def is_refusal(response):
    """Return whether a response shows nothing and did nothing."""
    if response.startswith(b"HTTP/1."):
        return int(response.split(b" ")[1]) in {400, 401, 403, 404, 405}
    return not response or response.startswith(REFUSALS)


async def send_probe(port, data, tls=None):
    """Send bytes and return the start of the response; empty if the server closes."""
    writer = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            writer.write(data)
            await writer.drain()
            return await reader.read(4096)
    except OSError:  # includes TLS errors and timeouts
        return b""
    finally:
        if writer:
            writer.close()


@pytest.fixture
def listening_ports(service):
    """The ports on which any process of the service listens, by address."""
    supervisor = psutil.Process(service.process.pid)
    parts = [supervisor, *supervisor.children(recursive=True)]
    return {
        (each.laddr.ip, each.laddr.port)
        for connections in connections_of(parts).values()
        for each in connections
        if each.status == psutil.CONN_LISTEN or each.type == socket.SOCK_DGRAM
    }


@pytest.fixture
def public_content(service):
    """The ports with public content: what is public, by the start of a probe."""
    return {
        # The API is public by design; other tests cover its authorization.
        urlsplit(service.base_url).port: None,
        # Metrics for Prometheus (METRICS_HOST, METRICS_PORT), of the API and each worker.
        **{urlsplit(each).port: ("GET",) for each in addresses(service).values()},
    }


async def test_no_port_serves_an_unauthenticated_client(listening_ports, public_content):
    assert len(listening_ports) >= 16
    assert {address for address, _ in listening_ports} == {"127.0.0.1"}
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE

    slots = asyncio.Semaphore(AT_ONCE)

    async def unrefused(port, probe, tls):
        """Return the response of a port, or None if it refused."""
        async with slots:
            response = await send_probe(port, probe.data, tls)
        if port in public_content:
            is_refused = response.split(b" ")[1:2] in ([b"404"], [b"405"], [b"400"], [])
        else:
            is_refused = is_refusal(response)
        return None if is_refused else (port, probe.name, bool(tls), response[:200])

    responses = await asyncio.gather(
        *(
            unrefused(port, probe, tls)
            for _, port in sorted(listening_ports)
            for probe in probes()
            for tls in (None, unverified)
            if port not in public_content or (public_content[port] and not probe.is_read)
        )
    )
    assert not [response for response in responses if response]


async def test_flower_requires_its_password(service):
    login = tuple(service.env["FLOWER_BASIC_AUTH"].split(":"))
    async with httpx.AsyncClient(base_url=service.flower_url) as browser:
        for path in ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers"):
            assert (await browser.get(path)).status_code == 401, path
            assert (await browser.get(path, auth=login)).status_code == 200, path
        # A page on another site can use the password that the operator's browser remembers.
        stop = "/api/worker/pool/restart/nobody@nowhere"
        for headers in (CROSS_SITE, {"Origin": "https://evil.example.org"}):
            response = await browser.post(stop, auth=login, headers=headers)
            assert response.status_code == 403
        assert (await browser.post(stop, auth=login)).status_code == 404


async def test_both_redises_require_the_password_and_close_on_http(service):
    for variable in ("CACHE_URL", "BROKER_URL"):
        parts = urlsplit(service.env[variable])
        for command in (b"INFO", b"FLUSHALL", b"CONFIG GET *", b"EVAL 'return 1' 0"):
            assert (await send_probe(parts.port, command + b"\r\n")).startswith(b"-NOAUTH"), command
        form = request("POST", "/", b"FLUSHALL\r\n", **{"Content-Type": "text/plain"}, **CROSS_SITE)
        assert await send_probe(parts.port, form) == b""


async def test_the_sockets_of_the_storage_are_in_a_private_folder(service):
    sockets = [path for path in service.data_dir.rglob("*") if path.is_socket()]
    for path in sockets:
        with suppress(OSError):
            assert path.parent.stat().st_mode & 0o077 == 0, path
