"""PostgreSQL through Tortoise ORM: the pool of a process, and single connections."""

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
from infra.db import dsn, hosts
from infra.db.pool import LEASE_SECONDS, POOL_WAIT_SECONDS, BoundedPool, PooledClient
from infra.db.session import Session, SessionBehindPooler
from infra.db.transactions import BROKEN, PRIMARY, borrowed
from infra.errors import SelfDescribed
from infra.identity import qualified

COMMAND_TIMEOUT_SECONDS = 30
# The errors of a query: Tortoise translates some of asyncpg's, but not a closed connection.
UNUSABLE = (*BROKEN, BaseORMException)
# Errors of the statement or its values: other statements would succeed.
_STATEMENT_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
# asyncpg's default for how long an unused connection stays open.
MAX_IDLE_SECONDS = 300.0
# A pool that has leased a connection within this time works, however busy it is.
RECENT_SECONDS = 5.0
# A direct connection that takes longer to be closed is dropped: its server may be frozen.
CLOSE_SECONDS = 1.0
LEASE_PROBE_SECONDS = 2.0


class PoolerAnswersError(SelfDescribed):
    """A pooler answers where a session is needed: set DATABASE_DIRECT_URL to PostgreSQL itself"""


@dataclass(frozen=True)
class PoolOptions:
    """The options of a pool; times are in seconds.

    A request waits at most `wait_seconds` for a connection, then gets `PoolFull`. A connection that
    is leased for longer than `lease` is closed. With `prewarm`, the pool opens all its connections
    at once: opening them under a burst of requests would make these wait.
    """

    size: int
    wait_seconds: float = POOL_WAIT_SECONDS
    lease: float | None = LEASE_SECONDS
    prewarm: bool = False


def tortoise_config(url: str, pool: PoolOptions) -> dict[str, Any]:
    """Return Tortoise's configuration for a `postgresql://` URL."""
    return tortoise_config_of(_credentials(url, pool))


def tortoise_config_of(credentials: dict[str, Any]) -> dict[str, Any]:
    """Return Tortoise's configuration for the arguments of its client."""
    return {
        "connections": {PRIMARY: {"engine": PooledClient.__module__, "credentials": credentials}},
        "apps": {"models": {"models": [qualified("models")], "default_connection": PRIMARY}},
        "use_tz": True,
    }


def _credentials(url: str, pool: PoolOptions) -> dict[str, Any]:
    """Return the arguments of Tortoise's client."""
    address = dsn.parse(url)
    return {
        **address.parameters(dsn.BOUNDED),
        # A pooler's sessions can't be configured, so each transaction sets the limits.
        "limits": _LOCAL_LIMITS if address.is_pooled else "",
        "command_timeout": COMMAND_TIMEOUT_SECONDS,
        "connection_class": SessionBehindPooler if address.is_pooled else Session,
        "minsize": pool.size if pool.prewarm else 1,
        "maxsize": pool.size,
        "max_inactive_connection_lifetime": 0.0 if pool.prewarm else MAX_IDLE_SECONDS,
        "wait_seconds": pool.wait_seconds,
        "lease_seconds": pool.lease,
    }


_LOCAL_LIMITS = "".join(f"SET LOCAL {key} = '{value}';" for key, value in dsn.BOUNDED.items())


@asynccontextmanager
async def database(
    url: str,
    pool_size: int,
    wait_seconds: float = POOL_WAIT_SECONDS,
    lease: float = LEASE_SECONDS,
    *,
    prewarm: bool = False,
) -> AsyncIterator[None]:
    """Open the pool of this process with `PoolOptions`; every task of its loop may query."""
    config = tortoise_config(url, PoolOptions(pool_size, wait_seconds, lease, prewarm))
    # Handlers and tasks run in contexts that are not derived from this one (tortoise#2090).
    await Tortoise.init(config, _enable_global_fallback=True)
    try:
        yield
    finally:
        await drain()
        await Tortoise.close_connections()


async def is_connected(source: BaseDBAsyncClient) -> bool:
    """Return whether the database answers a query."""
    try:
        await source.execute_query("SELECT 1")
    except BROKEN:
        return False
    return True


def is_unavailable(error: BaseException) -> bool:
    """Return whether a query failed because of the database rather than its own statement."""
    if isinstance(error.__cause__, _STATEMENT_ERRORS) or isinstance(error, _STATEMENT_ERRORS):
        return False
    return isinstance(error, UNUSABLE)


@asynccontextmanager
async def open_pool(
    url: str,
    pool_size: int,
    wait_seconds: float = POOL_WAIT_SECONDS,
    lease: float = LEASE_SECONDS,
) -> AsyncIterator[BaseDBAsyncClient]:
    """Open a second pool, for `using_db`: to a replica, or for queries that must not wait.

    It is not registered with Tortoise: with two connections, each transaction would have to name
    one.
    """
    options = PoolOptions(pool_size, wait_seconds, lease)
    client = PooledClient(connection_name="second", **_credentials(url, options))
    try:
        yield client
    finally:
        await client.close()


def primary() -> BaseDBAsyncClient:
    """Return the client of the primary, or of the connection that the block has borrowed."""
    return borrowed.get() or get_connections().get(PRIMARY)


@dataclass(frozen=True)
class PoolUse:
    """The size of a pool, its leased connections, and the calls that wait for one."""

    size: int
    in_use: int
    waiting: int


def pool_use() -> PoolUse:
    """Return the state of this process's pool."""
    client: Any = get_connections().get(PRIMARY)
    pool = _pool()
    if pool is None:
        return PoolUse(client.pool_maxsize, 0, 0)
    return PoolUse(client.pool_maxsize, pool.in_use, pool.waiting)


def pop_expired_leases() -> int:
    """Return the number of leases that were ended for their length since the last call."""
    pool = _pool()
    return pool.pop_expired() if pool else 0


async def leases_connections() -> bool:
    """Return whether the pool leases connections: it has recently, or does within two seconds."""
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
    """Open a connection outside the pool: for LISTEN, session locks and COPY.

    A statement that takes longer than `command_timeout` seconds raises `TimeoutError`; None means
    no limit. `settings` are the server's, for this session.

    Raises:
        ValueError: the URL is that of a pooler.
        PoolerAnswersError: a pooler is there, which takes no settings of a session.

    """
    address = dsn.parse(url)
    if address.is_pooled:
        raise ValueError("a pooler has no sessions: a direct connection needs DATABASE_DIRECT_URL")
    parameters = address.parameters(dsn.UNBOUNDED | (settings or {}))
    text = parameters.pop("dsn")
    try:
        connection = await hosts.connect(text, **parameters, command_timeout=command_timeout)
    except asyncpg.ProtocolViolationError as error:
        raise PoolerAnswersError from error
    try:
        yield connection
    except TimeoutError:
        # A server that does not answer is not asked to close.
        connection.terminate()
        raise
    finally:
        # The `timeout` of `close` does not bound the wait for a cancelled statement.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()


async def look_for_primary(url: str, seconds: float) -> None:
    """Connect to the primary among several hosts within a time; connections to another one end."""
    address = dsn.parse(url)
    if address.has_several_hosts:
        parameters = address.parameters(dsn.UNBOUNDED) | {"timeout": seconds}
        with suppress(*BROKEN):
            connection = await hosts.connect(parameters.pop("dsn"), **parameters)
            connection.terminate()


async def check_direct(connection: asyncpg.Connection) -> None:
    """Check that the session is PostgreSQL's own: a pooler invents the process of a session.

    Raises:
        PoolerAnswersError: it is not.

    """
    if connection.get_server_pid() != await connection.fetchval("SELECT pg_backend_pid()"):
        raise PoolerAnswersError


async def analyze(url: str) -> None:
    """Refresh the planner's statistics of all tables, without a time limit."""
    async with direct_connection(url) as connection:
        await connection.execute("ANALYZE")
