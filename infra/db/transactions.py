"""Transactions, and what must follow their commits; no error or cancellation loses either.

Tortoise asks the client for its transactions, so those that it begins itself are these, too.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections
from tortoise.exceptions import TransactionManagementError

from infra.aio.shield import finish
from infra.observability import logs

PRIMARY = "default"

# What asyncpg raises on a connection that is of no more use; the last, where the server ended it
# between two statements.
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

FollowUp = Callable[[], Awaitable[object]]

log = logs.get_logger(__name__)


class NoTransaction(RuntimeError):
    """What follows a commit needs a running transaction"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class RolledBack(TransactionManagementError):
    """A statement of the transaction failed, so PostgreSQL has rolled it back at its commit"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


def transaction() -> TransactionContext:
    """Run the block in a transaction of the primary; within another one, under a savepoint.

    Once COMMIT is sent, its outcome is awaited and `after_commit` carried out, also if the caller
    is cancelled meanwhile, which then is raised.
    """
    return get_connections().get(PRIMARY)._in_transaction()  # noqa: SLF001


def after_commit(follow_up: FollowUp) -> None:
    """Have `follow_up` awaited after the commit of the running transaction, before its block ends.

    It has the connection no more, and does not run if the transaction is rolled back. If the
    connection breaks while it commits, nobody can tell whether it did, and `follow_up` runs. What
    it raises is logged: the commit stands.

    Raises:
        NoTransaction: none is running.

    """
    client = get_connections().get(PRIMARY)
    if not isinstance(client, TransactionClient):
        raise NoTransaction
    client.follow_ups.append(follow_up)


class TransactionClient(TransactionWrapper):
    """What statements of a transaction run through, on its connection."""

    def __init__(self, parent: AsyncpgDBClient, limits: str = "") -> None:
        super().__init__(parent)
        # Sent together with BEGIN, in one round trip.
        self._begin = f"BEGIN;{limits}"
        self.follow_ups: list[FollowUp] = getattr(parent, "follow_ups", [])

    def _in_transaction(self) -> TransactionContext:
        return Savepoint(TransactionClient(self))

    async def begin(self) -> None:
        """Begin; the connection may have begun even if this fails."""
        await self._connection.execute(self._begin)

    async def commit(self) -> None:
        """Commit.

        Raises:
            RolledBack: PostgreSQL has done that instead.

        """
        if await self._connection.execute("COMMIT") != "COMMIT":
            raise RolledBack

    async def rollback(self) -> None:
        """Roll back whatever is open."""
        await self._connection.execute("ROLLBACK")

    async def savepoint(self) -> None:
        """Begin a part that can be rolled back by itself."""
        await self._connection.execute("SAVEPOINT part")

    async def release_savepoint(self) -> None:
        """Keep the latest part."""
        await self._connection.execute("RELEASE SAVEPOINT part")

    async def savepoint_rollback(self) -> None:
        """Roll the latest part back."""
        await self._connection.execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")


class Transaction(TransactionContextPooled):
    """A transaction on a connection of the pool, which goes back there whatever happens."""

    client: TransactionClient
    _pool: Any

    async def __aenter__(self) -> TransactionClient:
        await self.ensure_connection()
        self._pool = self.client._parent._pool  # noqa: SLF001
        self.client._connection = await self._pool.acquire()  # noqa: SLF001
        try:
            await self.client.begin()
        except BaseException:
            await finish(self._roll_back())
            raise
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        # First of all: the task below must not take the transaction for its own.
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
                log.exception("follow_up_failed")

    async def _roll_back(self) -> None:
        try:
            # What a broken connection had open is over.
            with suppress(*BROKEN):
                await self.client.rollback()
        finally:
            await self._release()

    async def _release(self) -> None:
        await self._pool.release(self.client._connection)  # noqa: SLF001


class Savepoint(TransactionContext):
    """A transaction within another one."""

    client: TransactionClient

    def __init__(self, client: TransactionClient) -> None:
        self.client = client
        self.connection_name = client.connection_name

    async def __aenter__(self) -> TransactionClient:
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
    """Tell whether PostgreSQL has said that it did not commit."""
    if isinstance(failure, RolledBack):
        return True
    is_broken = isinstance(
        failure, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError
    )
    return isinstance(failure, asyncpg.PostgresError) and not is_broken
