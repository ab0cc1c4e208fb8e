"""The connection pool, as an engine of Tortoise: it bounds the wait for a lease and its length."""

import asyncio
from collections import deque
from contextlib import suppress
from inspect import Parameter, signature
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionHolder, _PoolConnectionHolderQueue
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.backends.base.client import PoolConnectionWrapper, TransactionContext

from infra.db import hosts
from infra.db.statistics import reason_of
from infra.db.transactions import BROKEN, Transaction, TransactionClient
from infra.errors import SelfDescribed
from infra.observability import logs, metrics
from infra.observability.events import Event

POOL_WAIT_SECONDS = 2.0
# The default limit of a lease.
LEASE_SECONDS = 120.0
CHECK_SECONDS = 1.0
# A connection that takes longer to be reset is closed.
RELEASE_SECONDS = 5.0
# A closing pool waits this long for its leases, then ends them.
CLOSE_SECONDS = 10.0

log = logs.get_logger(__name__)


class PoolFull(SelfDescribed, TimeoutError):
    """All connections to the database are busy; try again soon"""


class FreeHolders(_PoolConnectionHolderQueue):  # type: ignore[misc]  # asyncpg ships no types
    """The free holders of connections, and the time of each lease of the others.

    A returned holder goes to the request that has waited longest. asyncpg's own queue gives it to
    the next request.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.leased_at: dict[PoolConnectionHolder, float] = {}
        self.last_lease_at = float("-inf")
        self._waiters: deque[asyncio.Future[PoolConnectionHolder]] = deque()

    async def get(self) -> PoolConnectionHolder:
        """Lease a holder; calls are served in their order."""
        if not self.empty():
            return self._lease(self.get_nowait())
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self.put_nowait(waiter.result())
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def put_nowait(self, holder: PoolConnectionHolder) -> None:
        """Return a holder."""
        self.leased_at.pop(holder, None)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(self._lease(holder))
                return
        super().put_nowait(holder)

    def _lease(self, holder: PoolConnectionHolder) -> PoolConnectionHolder:
        now = asyncio.get_running_loop().time()
        self.leased_at[holder] = self.last_lease_at = now
        return holder


class BoundedPool(asyncpg.Pool):  # type: ignore[misc]
    """Bounds each wait for a connection and each lease, which asyncpg's pool does not.

    The permit to use a connection is its holder, which is either free or leased: no permit can be
    lost or given twice. After `lease_seconds` a lease is ended by closing its connection; None
    means no limit.
    """

    def __init__(
        self, *args: Any, wait_seconds: float, lease_seconds: float | None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.wait_seconds = wait_seconds
        self.waiting = 0
        self._expired = 0
        self._lease_seconds = lease_seconds

    @property
    def in_use(self) -> int:
        """The number of leased connections."""
        return len(self._queue.leased_at)

    @property
    def seconds_since_lease(self) -> float:
        """The time since the latest lease began."""
        return float(self._loop.time() - self._queue.last_lease_at)

    def pop_expired(self) -> int:
        """Return the number of leases ended since the last call."""
        expired, self._expired = self._expired, 0
        return expired

    async def _initialize(self) -> None:
        await super()._initialize()
        free, initial = FreeHolders(self._maxsize), self._queue
        while not initial.empty():
            free.put_nowait(initial.get_nowait())
        self._queue: FreeHolders = free
        if self._lease_seconds is not None:
            self._end_leases(self._lease_seconds)

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109  asyncpg's signature
        started = self._loop.time()
        try:
            return await self._wait(timeout)
        except PoolFull:
            metrics.pool_timeouts.inc()
            raise
        except Exception as error:
            metrics.database_errors.inc(labels=(reason_of(error),))
            raise
        finally:
            metrics.pool_waits.observe(self._loop.time() - started)

    async def _wait(self, timeout: float | None) -> Any:  # noqa: ASYNC109  asyncpg's signature
        if not self._queue.empty():
            return await super()._acquire(timeout)
        self.waiting += 1
        try:
            async with asyncio.timeout(self.wait_seconds):
                return await super()._acquire(timeout)
        except TimeoutError:
            raise PoolFull from None
        finally:
            self.waiting -= 1

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncpg's signature
        """Take a connection back; one that can't be made ready for the next user is closed.

        asyncpg makes a task of each release, which only a connection needs that is not at rest.
        """
        session = connection._con  # noqa: SLF001  nothing that is asked here has a public name
        if session is not None and _is_at_rest(session):
            session._on_release()  # noqa: SLF001  it has no public name
            await connection._holder.release(timeout)  # noqa: SLF001  it has no public name
            return
        with suppress(*BROKEN):
            await super().release(connection, timeout=timeout or RELEASE_SECONDS)

    def _end_leases(self, lease_seconds: float) -> None:
        if self._closed:
            return
        latest = self._loop.time() - lease_seconds
        long = [each for each, since in self._queue.leased_at.items() if since < latest]
        for holder in long:
            # One that is connecting has a time limit of its own.
            if holder.is_connected():
                self._expired += 1
                log.error(Event.DATABASE_LEASE_EXPIRED, lease_seconds=lease_seconds)
                holder.terminate()
        interval = min(CHECK_SECONDS, lease_seconds / 4)
        self._loop.call_later(interval, self._end_leases, lease_seconds)


def _is_at_rest(session: asyncpg.Connection) -> bool:
    """Tell whether no transaction is open and no statement is being cancelled."""
    if session.is_closed() or session.is_in_transaction():
        return False
    return not (session._top_xact or session._protocol._is_cancelling())  # noqa: SLF001  it has no public name


class PooledClient(AsyncpgDBClient):
    """A client by its `dsn`; `wait_seconds` and `lease_seconds` are the pool's.

    `limits` are the statements that bound a transaction, where its session has no bounds.
    """

    def __init__(self, *, limits: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits

    async def create_pool(self, **options: Any) -> Any:
        """Open the pool."""
        # `dsn` has what Tortoise would say in words of its own.
        options = {key: value for key, value in options.items() if key not in _IN_DSN}
        try:
            options = _DEFAULTS | options | {"connect": hosts.connect}
            return await BoundedPool(options.pop("dsn"), **options)
        except Exception as error:
            metrics.database_errors.inc(labels=(reason_of(error),))
            raise

    async def _close(self) -> None:
        # The next use opens another pool, also where this one is cancelled while it closes.
        pool, self._pool = self._pool, None
        if pool is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await pool.close()

    def acquire_connection(self) -> PoolConnectionWrapper[Any]:
        """Lease a connection for a block."""
        return Lease(self, self._pool_init_lock)

    def _in_transaction(self) -> TransactionContext:
        return Transaction(TransactionClient(self, self._limits), self._pool_init_lock)


class Lease(PoolConnectionWrapper[Any]):
    """A connection that goes back to the pool that gave it, which may be closing meanwhile.

    Tortoise returns it to the pool that the client has then, which is none.
    """

    __slots__ = ("_pool",)

    async def __aenter__(self) -> Any:
        await self.ensure_connection()
        self._pool: Any = self.client._pool  # noqa: SLF001  it has no public name
        self.connection = await self._pool.acquire()
        return self.connection

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        await self._pool.release(self.connection)


_IN_DSN = frozenset({"host", "port", "user", "password", "database"})
_DEFAULTS = {
    each.name: each.default
    for each in signature(asyncpg.create_pool).parameters.values()  # noqa: TID251  not called
    if each.kind is Parameter.KEYWORD_ONLY
} | {"wait_seconds": POOL_WAIT_SECONDS, "lease_seconds": LEASE_SECONDS}

# What Tortoise looks for in a module that is named as an engine.
client_class = PooledClient
