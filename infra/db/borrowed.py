"""Statements on a connection of another library, in the transaction that is open on it.

The queue's statements then commit or roll back with those of a program that knows nothing of our
pool. The connection may be one of asyncpg, psycopg, SQLAlchemy (its sessions, too) or Django.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import Token
from typing import Any, Self, TypeVar

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionContext

from infra.db.transactions import PRIMARY, Savepoint, borrowed

T = TypeVar("T")
# Runs a statement, whose parameters are $1, $2 and so on; returns its rows.
Fetch = Callable[[str, Sequence[object]], Awaitable[Sequence[Mapping[str, Any]]]]

_PARAMETER = re.compile(r"\$(\d+)")
# What the drivers have for our parameters: their own numbers, or names in a mapping.
NUMBERED = "numeric_dollar"


class Awaits(TypeError):
    """The connection is one of an event loop: use `async with`, and await"""


class in_transaction_of:  # noqa: N801  it is used as a function
    """Let the block's statements of the queue run on a connection, in the transaction open there.

    It is for `async with` if the connection's methods are awaited, and for `with` otherwise. The
    queue's tables are found by the connection's `search_path`, or in `schema`.

    Raises:
        TypeError: the connection is of no library that is known.

    """

    def __init__(self, connection: Any, schema: str | None = None) -> None:
        self._connection = connection
        self._fetch = _fetch_of(connection)
        self._schema = schema
        self._path_before = ""
        self._token: Token[BaseDBAsyncClient | None] | None = None

    async def __aenter__(self) -> Self:
        if self._schema:
            query = (
                "SELECT current_setting('search_path') AS before, "
                "set_config('search_path', quote_ident($1::text), true)"
            )
            self._path_before = (await self._fetch(query, [self._schema]))[0]["before"]
        self._token = borrowed.set(BorrowedClient(self._fetch))
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if self._token:
            borrowed.reset(self._token)
        if self._schema:
            query = "SELECT set_config('search_path', $1::text, true)"
            try:
                await self._fetch(query, [self._path_before])
            except Exception:
                # A failed statement has ended the transaction, and the setting with it.
                if kind is None:
                    raise

    def __enter__(self) -> Self:
        if inspect.iscoroutinefunction(getattr(self._connection, "execute", None)):
            raise Awaits(Awaits.__doc__)
        return run_blocking(self.__aenter__())

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        run_blocking(self.__aexit__(kind, error, traceback))


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the queue in this thread, on a connection that blocks.

    Raises:
        Awaits: the connection does not block, so the coroutine waits for an event loop.

    """
    try:
        # `asyncio.sleep(0)` gives way with None; what waits for something gives a future.
        while work.send(None) is None:
            pass
    except StopIteration as returned:
        return returned.value  # type: ignore[no-any-return]
    work.close()
    raise Awaits(Awaits.__doc__)


class BorrowedClient(BaseDBAsyncClient):
    """Runs statements by a function; its transactions are savepoints of the one that is open."""

    def __init__(self, fetch: Fetch) -> None:
        super().__init__(PRIMARY)
        self.follow_ups: list[object] = []
        self._fetch = fetch

    async def execute_query_dict(
        self, query: str, values: list[object] | None = None
    ) -> list[dict[str, Any]]:
        """Run a statement; return its rows."""
        return [dict(row) for row in await self._fetch(query, values or ())]

    def _in_transaction(self) -> TransactionContext:
        return Savepoint(self)

    async def savepoint(self) -> None:
        """Set a savepoint."""
        await self._fetch("SAVEPOINT part", ())

    async def release_savepoint(self) -> None:
        """Release the latest savepoint."""
        await self._fetch("RELEASE SAVEPOINT part", ())

    async def savepoint_rollback(self) -> None:
        """Roll back to the latest savepoint."""
        await self._fetch("ROLLBACK TO SAVEPOINT part", ())
        await self.release_savepoint()


def _fetch_of(connection: Any) -> Fetch:
    libraries = {each.__module__.partition(".")[0] for each in type(connection).__mro__}
    for library, fetch in _FETCHES.items():
        if library in libraries:
            return lambda query, values: fetch(connection, query, values)
    raise TypeError(
        f"no connection of {', '.join(_FETCHES)}: {type(connection).__module__}."
        f"{type(connection).__qualname__}"
    )


async def _asyncpg(connection: Any, query: str, values: Sequence[object]) -> Any:
    return await connection.fetch(query, *values)


async def _sqlalchemy(connection: Any, query: str, values: Sequence[object]) -> Any:
    # A session has the connection of its transaction.
    if not hasattr(connection, "exec_driver_sql"):
        connection = await _result(connection.connection())
    given: Any = tuple(values)
    if connection.dialect.paramstyle != NUMBERED:
        query, given = _named(query, values)
    result = await _result(connection.exec_driver_sql(query, given))
    return result.mappings().all() if result.returns_rows else ()


async def _psycopg(connection: Any, query: str, values: Sequence[object]) -> Any:
    cursor = await _result(connection.execute(*_named(query, values)))
    if cursor.description is None:
        return ()
    found = await _result(cursor.fetchall())
    # The connection may make rows of another kind than tuples.
    return found if found and isinstance(found[0], Mapping) else _mapped(cursor, found)


async def _django(connection: Any, query: str, values: Sequence[object]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(*_named(query, values))
        return _mapped(cursor, cursor.fetchall()) if cursor.description else ()


def _mapped(cursor: Any, found: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _named(query: str, values: Sequence[object]) -> tuple[str, dict[str, object]]:
    """Return the statement with named parameters, as psycopg has them."""
    named = _PARAMETER.sub(r"%(p\1)s", query.replace("%", "%%"))
    return named, {f"p{number}": value for number, value in enumerate(values, start=1)}


async def _result(value: Any) -> Any:
    """Return what a method of a library has returned, or what that awaits."""
    return await value if hasattr(value, "__await__") else value


# The first that fits counts: a session of SQLAlchemy may be one of a subclass.
_FETCHES = {"sqlalchemy": _sqlalchemy, "django": _django, "psycopg": _psycopg, "asyncpg": _asyncpg}
