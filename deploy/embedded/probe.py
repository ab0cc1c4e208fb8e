"""Readiness checks of a server that may be down: each returns within seconds and never raises."""

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable
from http.client import HTTPException
from urllib.error import HTTPError

RESPONSE_SECONDS = 2.0
POLL_SECONDS = 0.05
# The servers are on this machine, so the environment's proxies don't apply.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


async def http(url: str, body: bytes | None = None, method: str = "GET") -> tuple[int, bytes]:
    """Return status and body; status 0 without a response."""
    return await asyncio.to_thread(_http, url, body, method)


def _http(url: str, body: bytes | None, method: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, method=method)  # noqa: S310  # loopback only
    try:
        with _opener.open(request, timeout=RESPONSE_SECONDS) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, HTTPException):
        return 0, b""


async def is_redis_ready(port: int, password: str) -> bool:
    """Return whether a Valkey or Redis has loaded its data and accepts the password."""
    writer = None
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"AUTH {password}\r\nPING\r\n".encode())
            return [await reader.readline(), await reader.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:  # TimeoutError is one
        return False
    finally:
        if writer:
            writer.close()


async def listens(port: int) -> bool:
    """Return whether a server accepts connections on a loopback port."""
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True


async def wait_until(
    check: Callable[[], Awaitable[bool]], poll_seconds: float = POLL_SECONDS
) -> None:
    """Wait until a check holds; the caller bounds the time."""
    while not await check():  # noqa: ASYNC110  # another program has no event to set
        await asyncio.sleep(poll_seconds)
