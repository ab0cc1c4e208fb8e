"""The pool of connections, as an engine of Tortoise's: who finds it full waits a bounded time."""

import asyncio
from inspect import Parameter, signature
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient

PATIENCE_SECONDS = 2.0


class PoolFull(TimeoutError):
    """All connections to the database are busy; try again soon"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class BoundedPool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg ships no types
    """Who finds it full waits in the order of coming, and no longer than `patience` seconds.

    asyncpg's queue gives a connection that comes back to whoever asks next, and sends the one who
    was woken for it to the end. Its own bound makes a task of every acquiring.
    """

    def __init__(self, *args: Any, patience: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self.patience = patience
        self.waiting = 0
        self._places = asyncio.Semaphore(self._maxsize)

    @property
    def in_use(self) -> int:
        """How many connections somebody holds."""
        return int(self.get_size() - self.get_idle_size())

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109  asyncpg's signature
        if not (self._places.locked() or self._queue.empty()):
            return await self._take(timeout)
        self.waiting += 1
        try:
            async with asyncio.timeout(self.patience):
                return await self._take(timeout)
        except TimeoutError:
            raise PoolFull from None
        finally:
            self.waiting -= 1

    async def _take(self, seconds: float | None) -> Any:
        await self._places.acquire()
        try:
            return await super()._acquire(seconds)
        except BaseException:
            self._places.release()
            raise

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Take a connection back, once each: at once, where it is at rest.

        asyncpg makes a task of each release, so that a cancellation leaves no transaction open.
        """
        try:
            await self._give_back(connection, timeout)
        finally:
            self._places.release()

    async def _give_back(self, connection: Any, seconds: float | None) -> None:
        session = connection._con  # noqa: SLF001  nothing that is asked here has a public name
        if session is None or not _is_at_rest(session):
            await super().release(connection, timeout=seconds)
            return
        session._on_release()  # noqa: SLF001
        await connection._holder.release(seconds)  # noqa: SLF001


def _is_at_rest(session: asyncpg.Connection) -> bool:
    """Tell whether no transaction is open and no statement is being cancelled."""
    if session.is_closed() or session.is_in_transaction():
        return False
    return not (session._top_xact or session._protocol._is_cancelling())  # noqa: SLF001


class PooledClient(AsyncpgDBClient):
    """A client whose setting `patience` is the pool's, in seconds."""

    async def create_pool(self, *, patience: float = PATIENCE_SECONDS, **options: Any) -> Any:
        """Open the pool."""
        return await BoundedPool(None, patience=patience, **(_DEFAULTS | options))


_DEFAULTS = {
    each.name: each.default
    for each in signature(asyncpg.create_pool).parameters.values()
    if each.kind is Parameter.KEYWORD_ONLY
}

# What Tortoise looks for in a module that is named as an engine.
client_class = PooledClient
