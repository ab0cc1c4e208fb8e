"""Connects to the server of a URL's hosts that fits; after a failover that is the new primary.

asyncpg tries the hosts one after the other within one time limit, so a host that is silent uses it
up. Here each host has the limit for itself, and the next one is tried soon.
"""

import asyncio
import os
import socket
import time
from collections import defaultdict
from contextlib import suppress
from threading import Lock
from typing import Any
from weakref import WeakSet

import asyncpg

from infra.db import dsn

# As RFC 8305 recommends for addresses: the next host is tried after this time without an answer.
NEXT_HOST_SECONDS = 0.25
# A silent host of several has less time than a single one: another may become the primary.
HOST_SECONDS = 2.0
# A server whose machine is gone, or a network that drops its packets, ends a connection after this.
SILENCE_SECONDS = 5
_KEEPALIVE = {"TCP_KEEPIDLE": SILENCE_SECONDS, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": SILENCE_SECONDS}
# In a failover, every request would otherwise open a connection to the server that is promoted.
PAUSE_SECONDS = 0.1
# Another host may do where one fails so; libpq gives up after other errors, as of a password.
_TRY_NEXT = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.TooManyConnectionsError,
)


# By DSN: the connections; until when no host fits, and why.
_connections: defaultdict[str, WeakSet["Connection"]] = defaultdict(WeakSet)
_unfit: dict[str, tuple[float, str]] = {}
# Relays and heartbeats connect in threads of their own.
_lock = Lock()


def _begin_child() -> None:
    """Forget the connections of the process that has forked; its threads may have the lock."""
    global _lock  # noqa: PLW0603  a process has one
    _lock = Lock()
    _connections.clear()


os.register_at_fork(after_in_child=_begin_child)


class NoHostFitsError(ConnectionError):
    """No host of the URL can be used; the message has the reason of each."""


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that breaks if the server's machine is gone, and does not wait for it.

    `host` is the one of several hosts that it leads to.
    """

    host = ""

    def __init__(self, protocol: Any, transport: Any, *args: Any, **options: Any) -> None:
        super().__init__(protocol, transport, *args, **options)
        self._socket = transport.get_extra_info("socket")
        _bound_silence(self._socket, SILENCE_SECONDS)

    async def copy_records_to_table(self, *args: Any, **options: Any) -> str:
        """Copy; a server that takes no more data for a while, as in a checkpoint, is not gone."""
        _bound_silence(self._socket, 0)
        try:
            return str(await super().copy_records_to_table(*args, **options))
        finally:
            _bound_silence(self._socket, SILENCE_SECONDS)

    def end_soon(self) -> None:
        """End the connection, from any thread."""
        # A loop that is closed has no connections.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.terminate)


async def connect(
    text: str, *, connection_class: type[Connection] = Connection, **options: Any
) -> Connection:
    """Connect to the first host of a DSN that fits its `target_session_attrs`.

    If that is the primary, and it was at another host before, this process's connections to that
    host are ended: a statement that runs there would wait for a server that may be frozen.

    Raises:
        NoHostFitsError: none of several hosts can be reached and fits.

    """
    hosts = dsn.each_host(text)
    if len(hosts) == 1:
        return await _attempt(text, connection_class, options)
    until, reasons = _unfit.get(text, (0.0, ""))
    if time.monotonic() < until:
        raise NoHostFitsError(reasons)
    options["timeout"] = min(options.get("timeout", HOST_SECONDS), HOST_SECONDS)
    attempts: dict[asyncio.Task[Connection], str] = {}
    try:
        for host, address in hosts.items():
            attempt = asyncio.create_task(_attempt(address, connection_class, options))
            attempts[attempt] = host
            await asyncio.wait({attempt}, timeout=NEXT_HOST_SECONDS)
            if found := _first(attempts):
                return _noted(text, found)
        pending = {each for each in attempts if not each.done()}
        while pending:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if found := _first(attempts):
                return _noted(text, found)
    finally:
        await _abandon(attempts)
    reasons = _reasons(attempts)
    _unfit[text] = (time.monotonic() + PAUSE_SECONDS, reasons)
    raise NoHostFitsError(reasons)


def _noted(text: str, connection: Connection) -> Connection:
    with _lock:
        others = [each for each in _connections[text] if each.host != connection.host]
        _connections[text].add(connection)
    if dsn.parse(text).target in dsn.WRITABLE_TARGETS:
        for each in others:
            each.end_soon()
    return connection


async def _attempt(
    address: str, connection_class: type[Connection], options: dict[str, Any]
) -> Connection:
    connection: Connection = await asyncpg.connect(  # noqa: TID251  the one place
        address, connection_class=connection_class, **options
    )
    return connection


def _first(attempts: dict[asyncio.Task[Connection], str]) -> Connection | None:
    """Take the first connection, so that it is not abandoned; raise what no other host mends."""
    for attempt in [each for each in attempts if each.done()]:
        error = attempt.exception()
        if error is None:
            connection = attempt.result()
            connection.host = attempts.pop(attempt)
            return connection
        if not isinstance(error, _TRY_NEXT):
            raise error
    return None


async def _abandon(attempts: dict[asyncio.Task[Connection], str]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, Connection):
            outcome.terminate()


def _reasons(attempts: dict[asyncio.Task[Connection], str]) -> str:
    reasons = [f"{host}: {_reason(attempt.exception())}" for attempt, host in attempts.items()]
    return f"no database server fits: {'; '.join(reasons)}"


def _reason(error: BaseException | None) -> str:
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "not of its target_session_attrs"
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(error) or type(error).__name__


def _bound_silence(connected: socket.socket | None, seconds: int) -> None:
    """Bound the time in which data that was sent makes no progress; 0: as the system does."""
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    if connected.fileno() < 0:  # the connection is closed
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
