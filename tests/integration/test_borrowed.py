"""The queue's statements in a transaction that another library has open."""

import json
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from course_enrollment.queue import (
    Step,
    UnknownPredecessor,
    enqueue,
    enqueue_batch,
    enqueue_many,
    enqueue_workflow,
    in_transaction_of,
    rows,
    run_blocking,
)
from infra.db.borrowed import Awaits
from infra.db.migration_files import Tables
from infra.db.migrations import migrate

SCHEMA = 'the "queue"'


class Undone(Exception):
    """Rolls a transaction back"""


@asynccontextmanager
async def of_asyncpg(url):
    connection = await asyncpg.connect(url)
    # As many programs have it: it would encode arguments a second time.
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def of_psycopg(url):
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
        yield connection


@asynccontextmanager
async def of_sqlalchemy(url):
    # SQLAlchemy hands libpq's `sslmode` to asyncpg, which knows it in a URL only.
    address = url.partition("?")[0].replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(address)
    try:
        async with AsyncSession(engine) as session, session.begin():
            yield session
    finally:
        await engine.dispose()


@asynccontextmanager
async def of_sqlalchemy_on_psycopg(url):
    engine = create_async_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


@contextmanager
def of_blocking_psycopg(url):
    with psycopg.connect(url) as connection:
        yield connection


@contextmanager
def of_blocking_sqlalchemy(url):
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


AWAITED = [of_asyncpg, of_psycopg, of_sqlalchemy, of_sqlalchemy_on_psycopg]
BLOCKING = [of_blocking_psycopg, of_blocking_sqlalchemy]


@pytest.fixture(scope="module")
async def url(new_database):
    """A database whose queue has a schema of its own."""
    url = await new_database(migrated=False)
    connection = await asyncpg.connect(url)
    quoted = SCHEMA.replace('"', '""')
    await connection.execute(f'CREATE SCHEMA "{quoted}"')
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET search_path = "{quoted}"')
    await connection.close()
    await migrate(url, tables=Tables.QUEUE)
    connection = await asyncpg.connect(url)
    await connection.execute(f'ALTER DATABASE "{name}" RESET search_path')
    await connection.close()
    return url


@pytest.fixture
async def count(url):
    """Return how many tasks there are, and delete them."""
    connection = await asyncpg.connect(url)
    quoted = SCHEMA.replace('"', '""')

    async def count() -> int:
        found = await connection.fetchval(f'SELECT count(*) FROM "{quoted}".tasks')
        await connection.execute(f'DELETE FROM "{quoted}".tasks')
        return found

    yield count
    await connection.close()


async def _enqueue_all() -> None:
    first = await enqueue("test.one", {"n": 1, "text": "ü %s $1"}, dedupe_key="one")
    assert await enqueue("test.one", {}, dedupe_key="one") == first
    await enqueue(
        "test.two",
        {"id": str(uuid4())},
        after={"one": first},
        concurrency_key="key",
        start_within=timedelta(hours=1),
    )
    await enqueue("test.late", {}, delay=3600, priority=3)
    await enqueue_many("test.many", [{"n": n} for n in range(3)], dedupe_keys=["a", "b", "a"])
    await enqueue_workflow({"a": Step("test.a", {}), "b": Step("test.b", {}, ["a"])})
    await enqueue_batch("test.many", [{}, {}], "test.callback", {})
    with pytest.raises(UnknownPredecessor):
        await enqueue("test.none", {}, after=[uuid4()])
    (found,) = await rows("SELECT args ->> 'text' AS text FROM tasks WHERE id = $1", first)
    assert found["text"] == "ü %s $1"


ENQUEUED = 10


@pytest.mark.parametrize("opened", AWAITED)
async def test_all_is_enqueued_in_the_transaction(url, count, opened):
    async with opened(url) as connection, in_transaction_of(connection, SCHEMA):
        await _enqueue_all()
    assert await count() == ENQUEUED
    with pytest.raises(Undone):
        async with opened(url) as connection:
            async with in_transaction_of(connection, SCHEMA):
                await _enqueue_all()
            raise Undone
    assert await count() == 0


@pytest.mark.parametrize("opened", BLOCKING)
async def test_all_is_enqueued_in_the_transaction_of_a_connection_that_blocks(url, count, opened):
    with opened(url) as connection, in_transaction_of(connection, SCHEMA):
        run_blocking(_enqueue_all())
    assert await count() == ENQUEUED
    with pytest.raises(Undone), opened(url) as connection:
        with in_transaction_of(connection, SCHEMA):
            run_blocking(_enqueue_all())
        raise Undone
    assert await count() == 0


async def test_the_search_path_is_as_it_was(url):
    async with of_asyncpg(url) as connection:
        before = await connection.fetchval("SHOW search_path")
        async with in_transaction_of(connection, SCHEMA):
            assert await connection.fetchval("SHOW search_path") != before
        assert await connection.fetchval("SHOW search_path") == before
        with pytest.raises(Undone):
            async with in_transaction_of(connection, SCHEMA):
                raise Undone
        assert await connection.fetchval("SHOW search_path") == before


async def test_an_error_of_the_block_is_raised_and_not_one_of_its_end(url):
    with pytest.raises(asyncpg.UndefinedTableError):
        async with of_asyncpg(url) as connection, in_transaction_of(connection, SCHEMA):
            await rows("SELECT FROM no_such_table")


async def test_a_connection_that_does_not_block_has_to_be_awaited(url):
    async with of_asyncpg(url) as connection:
        with pytest.raises(Awaits, match="await"), in_transaction_of(connection, SCHEMA):
            pass
    with pytest.raises(TypeError, match="no connection of sqlalchemy, django, psycopg, asyncpg"):
        in_transaction_of(object())
