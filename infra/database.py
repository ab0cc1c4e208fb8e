"""PostgreSQL through Tortoise ORM: the pool, and migrations that any number may start at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from tortoise import BaseDBAsyncClient, Tortoise
from tortoise.connection import get_connections
from tortoise.exceptions import BaseORMException

from infra.pool import PATIENCE_SECONDS, BoundedPool, PooledClient

PRIMARY = "default"
CONNECT_TIMEOUT_SECONDS = 5
COMMAND_TIMEOUT_SECONDS = 30
# What a query fails with: Tortoise translates some of what asyncpg says, not an ended connection.
UNUSABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, BaseORMException)
MIGRATIONS = Path(__file__).parent.parent / "migrations"
MIGRATION_LOCK = 0x434F5552  # "COUR": one number that only our migrations lock


class Session(asyncpg.Connection):  # type: ignore[misc]
    """A connection of the pool, left as it is when it goes back there.

    asyncpg would spend a round trip on locks, listeners and settings of the session, which nobody
    makes on a pooled connection: `direct_connection` is for those. What a transaction left open
    is still rolled back.
    """

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Roll back what is open; `command_timeout` bounds that."""
        await self._reset()


def tortoise_config(
    url: str, pool_size: int, patience: float = PATIENCE_SECONDS, *, is_kept: bool = False
) -> dict[str, Any]:
    """Return Tortoise's configuration for a `postgresql://` URL."""
    credentials = _credentials(url, pool_size, patience)
    if is_kept:
        credentials |= {"minsize": pool_size, "max_inactive_connection_lifetime": 0.0}
    return {
        "connections": {PRIMARY: {"engine": "infra.pool", "credentials": credentials}},
        "apps": {"models": {"models": ["models"], "default_connection": PRIMARY}},
        "use_tz": True,
    }


def migration_config(url: str) -> dict[str, Any]:
    """Return the same for aerich, which has a table of its own."""
    config = tortoise_config(url, pool_size=1)
    config["apps"]["models"]["models"].append("aerich.models")
    return config


def _credentials(url: str, pool_size: int, patience: float) -> dict[str, Any]:
    """Take a URL apart; `sslmode` and `sslrootcert` of its query mean what they mean to libpq."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "host": parts.hostname or query.get("host", "localhost"),
        "port": parts.port or 5432,
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.removeprefix("/")) or "postgres",
        "minsize": 1,
        "maxsize": pool_size,
        "patience": patience,
        "timeout": CONNECT_TIMEOUT_SECONDS,
        "command_timeout": COMMAND_TIMEOUT_SECONDS,
        "connection_class": Session,
        "ssl": _ssl(query.get("sslmode", "prefer"), query.get("sslrootcert")),
    }


def _ssl(mode: str, root_certificate: str | None) -> ssl.SSLContext | str:
    if not mode.startswith("verify-"):
        return mode
    context = ssl.create_default_context(cafile=root_certificate)
    context.check_hostname = mode == "verify-full"
    return context


@asynccontextmanager
async def database(
    url: str, pool_size: int, patience: float = PATIENCE_SECONDS, *, is_kept: bool = False
) -> AsyncIterator[None]:
    """Open the pool for this process; every task of its event loop may query.

    Whoever finds it full waits `patience` seconds for a connection, then meets `PoolFull`. Where it
    `is_kept`, all connections are opened with the first and stay: the moment when many are needed
    at once is the worst to open them.
    """
    config = tortoise_config(url, pool_size, patience, is_kept=is_kept)
    # Handlers and tasks run in contexts that descend from no context of ours (tortoise#2090).
    await Tortoise.init(config, _enable_global_fallback=True)
    try:
        yield
    finally:
        await Tortoise.close_connections()


async def is_connected(source: BaseDBAsyncClient) -> bool:
    """Tell whether the database answers a query."""
    try:
        await source.execute_query("SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


@asynccontextmanager
async def another(
    url: str, pool_size: int, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[BaseDBAsyncClient]:
    """Open another pool, for `using_db`: to a replica, or for who may not wait for the first one.

    Tortoise is not told: with two connections it would ask each transaction for one's name.
    """
    client = PooledClient(connection_name="another", **_credentials(url, pool_size, patience))
    try:
        yield client
    finally:
        await client.close()


def primary() -> BaseDBAsyncClient:
    """Return the client of the primary."""
    return get_connections().get(PRIMARY)


@dataclass(frozen=True)
class PoolUse:
    """How many connections a process may have, how many it holds, and who waits for one."""

    size: int
    in_use: int
    waiting: int


def pool_use() -> PoolUse:
    """Return how this process's pool stands."""
    client: Any = get_connections().get(PRIMARY)
    pool: BoundedPool | None = client._pool  # noqa: SLF001  Tortoise gives it no public name
    if pool is None:
        return PoolUse(client.pool_maxsize, 0, 0)
    return PoolUse(client.pool_maxsize, pool.in_use, pool.waiting)


@asynccontextmanager
async def direct_connection(
    url: str, command_timeout: float | None = None, settings: dict[str, str] | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection of one's own: for LISTEN, session locks and COPY, which a pool forbids.

    A statement may take for ever, or `command_timeout` seconds, after which it is a `TimeoutError`.
    `settings` are the server's, for this session.
    """
    connection = await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=command_timeout,
        server_settings=settings,
    )
    try:
        yield connection
    finally:
        # Its own `timeout` does not bound the wait for a cancelled statement to be confirmed.
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await connection.close()


async def analyze(url: str) -> None:
    """Refresh the planner's statistics of all tables, which may take longer than any statement."""
    async with direct_connection(url) as connection:
        await connection.execute("ANALYZE")


async def migrate(url: str) -> list[str]:
    """Apply the migrations that the database has not; one process at a time, the others wait.

    Returns:
        The names of the migrations applied now.

    """
    # A quarter of what a command takes to start, and most of them don't migrate.
    from aerich import Command  # noqa: PLC0415

    async with direct_connection(url) as lock:
        await lock.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        async with Command(migration_config(url), location=str(MIGRATIONS)) as command:
            await command.init()
            return await command.upgrade()
