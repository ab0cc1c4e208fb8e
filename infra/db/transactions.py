"""Transactions, and the work that must follow a commit; no error or cancellation loses either.

Tortoise takes its own transactions from the client, so they are of these classes, too.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    BaseDBAsyncClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections
from tortoise.exceptions import TransactionManagementError

from infra.aio.shield import finish
from infra.errors import SelfDescribed
from infra.observability import logs
from infra.observability.events import Event

PRIMARY = "default"

# The errors of a connection that can't be used any more. asyncpg raises the last one if the server
# has closed the connection between two statements.
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

# In a block of `infra.db.borrowed`: the client of a connection that another library has opened.
borrowed: ContextVar[BaseDBAsyncClient | None] = ContextVar("borrowed", default=None)

FollowUp = Callable[[], Awaitable[object]]

log = logs.get_logger(__name__)


class NoTransaction(SelfDescribed, RuntimeError):
    """What follows a commit needs a running transaction"""


class RolledBack(SelfDescribed, TransactionManagementError):
    """A statement of the transaction failed, so PostgreSQL has rolled it back at its commit"""


def transaction() -> TransactionContext:
    """Run the block in a transaction on the primary; within a transaction, under a savepoint.

    COMMIT and the follow-ups of `after_commit` are shielded: a cancellation of the caller is raised
    after them.
    """
    client = borrowed.get() or get_connections().get(PRIMARY)
    return client._in_transaction()  # noqa: SLF001  it has no public name


def is_in_transaction() -> bool:
    """Return whether a transaction is running."""
    return borrowed.get() is not None or isinstance(
        get_connections().get(PRIMARY), TransactionClient
    )


def after_commit(follow_up: FollowUp) -> None:
    """Await `follow_up` after the commit of the running transaction, before its block ends.

    The connection has been released by then. A rollback skips the follow-up. If the connection
    breaks during COMMIT, the outcome is unknown, and the follow-up runs. Its errors are logged: the
    commit stands.

    Raises:
        NoTransaction: no transaction is running.

    """
    client = get_connections().get(PRIMARY)
    if not isinstance(client, TransactionClient):
        raise NoTransaction
    client.follow_ups.append(follow_up)


class TransactionClient(TransactionWrapper):
    """Runs the statements of a transaction on its connection."""

    def __init__(self, parent: AsyncpgDBClient, limits: str = "") -> None:
        super().__init__(parent)
        # Sent together with BEGIN, in one round trip.
        self._begin = f"BEGIN;{limits}"
        self.follow_ups: list[FollowUp] = getattr(parent, "follow_ups", [])

    def _in_transaction(self) -> TransactionContext:
        return Savepoint(TransactionClient(self))

    async def begin(self) -> None:
        """Begin; the transaction may be open even if this fails."""
        await self._connection.execute(self._begin)

    async def commit(self) -> None:
        """Commit.

        Raises:
            RolledBack: PostgreSQL has rolled the transaction back instead.

        """
        if await self._connection.execute("COMMIT") != "COMMIT":
            raise RolledBack

    async def rollback(self) -> None:
        """Roll back what is open."""
        await self._connection.execute("ROLLBACK")

    async def savepoint(self) -> None:
        """Set a savepoint."""
        await self._connection.execute("SAVEPOINT part")

    async def release_savepoint(self) -> None:
        """Release the latest savepoint."""
        await self._connection.execute("RELEASE SAVEPOINT part")

    async def savepoint_rollback(self) -> None:
        """Roll back to the latest savepoint."""
        await self._connection.execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")


class Transaction(TransactionContextPooled):
    """A transaction on a connection of the pool, which is released whatever happens."""

    client: TransactionClient
    _pool: Any

    async def __aenter__(self) -> TransactionClient:
        await self.ensure_connection()
        self._pool = self.client._parent._pool  # noqa: SLF001  it has no public name
        self.client._connection = await self._pool.acquire()  # noqa: SLF001  it has no public name
        try:
            await self.client.begin()
        except BaseException:
            await finish(self._roll_back())
            raise
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        # Before the task below is created, which would inherit the transaction.
        get_connections().reset(self.token)
        await finish(self._roll_back() if kind else self._commit())

    async def _commit(self) -> None:
        failure = None
        try:
            await self.client.commit()
        except Exception as error:  # noqa: BLE001  raised below
            failure = error
        finally:
            await self._release()
        if failure is None or not _is_refused(failure):
            await self._follow_up()
        if failure is not None:
            raise failure

    async def _follow_up(self) -> None:
        for follow_up in self.client.follow_ups:
            try:
                await follow_up()
            except Exception:
                log.exception(Event.FOLLOW_UP_FAILED)

    async def _roll_back(self) -> None:
        try:
            # The server rolls back what a broken connection had open.
            with suppress(*BROKEN):
                await self.client.rollback()
        finally:
            await self._release()

    async def _release(self) -> None:
        await self._pool.release(self.client._connection)  # noqa: SLF001  it has no public name


class Savepoint(TransactionContext):
    """A transaction within another one."""

    client: Any

    def __init__(self, client: Any) -> None:
        self.client = client
        self.connection_name = client.connection_name

    async def __aenter__(self) -> Any:
        self._followed_before = len(self.client.follow_ups)
        await self.client.savepoint()
        return self.client

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            await self.client.release_savepoint()
            return
        del self.client.follow_ups[self._followed_before :]
        # A connection that is broken or cancelled makes the whole transaction fail.
        with suppress(*BROKEN):
            await self.client.savepoint_rollback()


def _is_refused(failure: BaseException) -> bool:
    """Return whether PostgreSQL has reported that it did not commit."""
    if isinstance(failure, RolledBack):
        return True
    is_broken = isinstance(
        failure, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError
    )
    return isinstance(failure, asyncpg.PostgresError) and not is_broken
