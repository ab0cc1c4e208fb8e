"""PostgreSQL through Tortoise ORM: the pool, and connections beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
from tortoise import BaseDBAsyncClient, Tortoise
from tortoise.connection import get_connections
from tortoise.exceptions import BaseORMException

from infra.aio.shield import drain
from infra.db import dsn
from infra.db.dsn import CONNECT_TIMEOUT_SECONDS
from infra.db.pool import LEASE_SECONDS, POOL_WAIT_SECONDS, BoundedPool, PooledClient
from infra.db.transactions import BROKEN, PRIMARY, after_commit, transaction

__all__ = ["BROKEN", "after_commit", "transaction"]

COMMAND_TIMEOUT_SECONDS = 30
# What a query fails with: Tortoise translates some of what asyncpg says, not an ended connection.
UNUSABLE = (*BROKEN, BaseORMException)
# What it refuses for what a statement says or holds, while others would be taken.
_REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
# asyncpg's own default for how long a connection stays open that nobody uses.
MAX_IDLE_SECONDS = 300.0
# A pool that gave a connection out within this time works, however busy it is.
RECENT_SECONDS = 5.0
LEASE_PROBE_SECONDS = 2.0


class Session(asyncpg.Connection):  # type: ignore[misc]
    """A connection of the pool, left as it is when it goes back there.

    asyncpg would spend a round trip on locks, listeners and settings of the session, which nobody
    makes on a pooled connection: `direct_connection` is for those. What a transaction left open
    is still rolled back.
    """

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Roll back what is open; `command_timeout` bounds that."""
        await self._reset()


@dataclass(frozen=True)
class PoolOptions:
    """How a pool is used: times are in seconds.

    A request that finds it full waits `patience` for a connection, then meets `PoolFull`; a
    connection is closed that one has for longer than `lease`. A pool that `is_kept` opens all its
    connections with the first: the moment when many are needed at once is the worst to open them.
    """

    size: int
    patience: float = POOL_WAIT_SECONDS
    lease: float | None = LEASE_SECONDS
    prewarm: bool = False


def tortoise_config(url: str, pool: PoolOptions) -> dict[str, Any]:
    """Return Tortoise's configuration for a `postgresql://` URL."""
    return tortoise_config_of(_credentials(url, pool))


def tortoise_config_of(credentials: dict[str, Any]) -> dict[str, Any]:
    """Return Tortoise's configuration for what its client is made with."""
    return {
        "connections": {PRIMARY: {"engine": "infra.db.pool", "credentials": credentials}},
        "apps": {"models": {"models": ["models"], "default_connection": PRIMARY}},
        "use_tz": True,
    }


def _credentials(url: str, pool: PoolOptions) -> dict[str, Any]:
    """Return what Tortoise's client is made with."""
    address = dsn.parse(url)
    return {
        **address.parameters(dsn.BOUNDED),
        # A pooler's sessions have no bounds of ours, so each transaction does.
        "limits": _LOCAL_LIMITS if address.is_pooled else "",
        "command_timeout": COMMAND_TIMEOUT_SECONDS,
        "connection_class": Session,
        "minsize": pool.size if pool.prewarm else 1,
        "maxsize": pool.size,
        "max_inactive_connection_lifetime": 0.0 if pool.prewarm else MAX_IDLE_SECONDS,
        "patience": pool.patience,
        "lease_seconds": pool.lease,
    }


_LOCAL_LIMITS = "".join(f"SET LOCAL {key} = '{value}';" for key, value in dsn.BOUNDED.items())


@asynccontextmanager
async def database(
    url: str,
    pool_size: int,
    patience: float = POOL_WAIT_SECONDS,
    lease: float = LEASE_SECONDS,
    *,
    prewarm: bool = False,
) -> AsyncIterator[None]:
    """Open the pool for this process, as PoolOptions says; every task of its loop may query."""
    config = tortoise_config(url, PoolOptions(pool_size, patience, lease, prewarm))
    # Handlers and tasks run in contexts that descend from no context of ours (tortoise#2090).
    await Tortoise.init(config, _enable_global_fallback=True)
    try:
        yield
    finally:
        await drain()
        await Tortoise.close_connections()


async def is_connected(source: BaseDBAsyncClient) -> bool:
    """Tell whether the database answers a query."""
    try:
        await source.execute_query("SELECT 1")
    except BROKEN:
        return False
    return True


def is_away(error: BaseException) -> bool:
    """Return whether a query failed for the database, rather than for what the query holds."""
    if isinstance(error.__cause__, _REFUSED) or isinstance(error, _REFUSED):
        return False
    return isinstance(error, UNUSABLE)


@asynccontextmanager
async def open_pool(
    url: str,
    pool_size: int,
    patience: float = POOL_WAIT_SECONDS,
    lease: float = LEASE_SECONDS,
) -> AsyncIterator[BaseDBAsyncClient]:
    """Open another pool, for `using_db`: to a replica, or for who may not wait for the first one.

    Tortoise is not told: with two connections it would ask each transaction for one's name.
    """
    options = PoolOptions(pool_size, patience, lease)
    client = PooledClient(connection_name="another", **_credentials(url, options))
    try:
        yield client
    finally:
        await client.close()


def primary() -> BaseDBAsyncClient:
    """Return the client of the primary."""
    return get_connections().get(PRIMARY)


@dataclass(frozen=True)
class PoolUse:
    """How many connections a process may have, how many it leases, and how many calls wait."""

    size: int
    in_use: int
    waiting: int


def pool_use() -> PoolUse:
    """Return how this process's pool stands."""
    client: Any = get_connections().get(PRIMARY)
    pool = _pool()
    if pool is None:
        return PoolUse(client.pool_maxsize, 0, 0)
    return PoolUse(client.pool_maxsize, pool.in_use, pool.waiting)


def take_expired_leases() -> int:
    """Return how many leases were ended since this was asked last, as they lasted too long."""
    pool = _pool()
    return pool.take_expired() if pool else 0


async def gives_connections() -> bool:
    """Tell whether the pool gives a connection out: it did lately, or does within two seconds."""
    pool = _pool()
    if pool is not None and pool.seconds_since_lease < RECENT_SECONDS:
        return True
    try:
        async with asyncio.timeout(LEASE_PROBE_SECONDS), primary().acquire_connection():
            return True
    except UNUSABLE:
        return False


def _pool() -> BoundedPool | None:
    client: Any = get_connections().get(PRIMARY)
    return client._pool  # type: ignore[no-any-return]  # noqa: SLF001  it has no public name


@asynccontextmanager
async def direct_connection(
    url: str, command_timeout: float | None = None, settings: dict[str, str] | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection of one's own: for LISTEN, session locks and COPY, which a pool forbids.

    A statement may take for ever, or `command_timeout` seconds, after which it is a `TimeoutError`.
    `settings` are the server's, for this session.

    Raises:
        ValueError: the URL is a pooler's.

    """
    address = dsn.parse(url)
    if address.is_pooled:
        raise ValueError("a pooler has no sessions: a direct connection needs DATABASE_DIRECT_URL")
    parameters = address.parameters(dsn.UNBOUNDED | (settings or {}))
    connection = await asyncpg.connect(  # noqa: TID251  the one place
        **parameters, command_timeout=command_timeout
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
