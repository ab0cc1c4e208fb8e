"""No cancellation, error or restart of the server loses a connection of the pool.

POOL_RESTARTS=20 restarts PostgreSQL that often; `make test` does so less often.
"""

import asyncio
import os
from contextlib import AsyncExitStack, suppress
from random import Random

import asyncpg
import pytest
from tortoise import Tortoise
from uuid_utils.compat import uuid7

from api.health import HealthQueries
from infra.db.engine import (
    UNUSABLE,
    database,
    direct_connection,
    leases_connections,
    open_pool,
    pool_use,
    pop_expired_leases,
    primary,
)
from infra.db.migrations import migrate
from infra.db.pool import PoolFull
from infra.db.transactions import NoTransaction, RolledBack, after_commit, transaction
from models import Course
from tests.cancelling import each_cancellation
from tests.factories import eventually
from tests.servers import own_postgres

RESTARTS = int(os.environ.get("POOL_RESTARTS", "8"))
SIZE = 3
CLIENTS = 30
SESSIONS = """
    SELECT count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS open, count(*) AS all
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'
"""


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    async with own_postgres(tmp_path_factory.mktemp("pool")) as server:
        await migrate(server.url)
        yield server


async def _is_whole(watch: asyncpg.Connection, size: int = SIZE) -> None:
    """Assert that all connections can be leased at once and that none has an open transaction."""
    await eventually(_idle, within=10)
    async with AsyncExitStack() as leases:
        for _ in range(size):
            one = await leases.enter_async_context(primary().acquire_connection())
            assert await one.fetchval("SELECT 1") == 1
            assert not one.is_in_transaction()
        assert pool_use().in_use == size
    assert pool_use().in_use == 0

    async def sessions_are_idle() -> bool:
        found = await watch.fetchrow(SESSIONS)
        return found["open"] == 0 and found["all"] <= size

    await eventually(sessions_are_idle, within=10)


async def _idle() -> bool:
    return pool_use().in_use == 0


def _course() -> Course:
    return Course(id=uuid7(), title="T", description="D", difficulty="Beginner")


async def _plain() -> None:
    await primary().execute_query("SELECT 1 AS one")
    await Course.filter(title="T").count()


async def _commit() -> None:
    async with transaction():
        await _course().save(force_create=True)
        await Course.filter(title="none").update(title="some")


async def _roll_back() -> None:
    with suppress(RuntimeError):
        async with transaction():
            await _course().save(force_create=True)
            raise RuntimeError


async def _nested() -> None:
    async with transaction():
        await _course().save(force_create=True)
        with suppress(RuntimeError):
            async with transaction():
                await _course().save(force_create=True)
                raise RuntimeError
        async with transaction():
            await _course().save(force_create=True)


async def _tortoise_begins() -> None:
    await Course.bulk_create([_course() for _ in range(3)], batch_size=2)


async def _refused_at_commit() -> None:
    with suppress(*UNUSABLE):
        async with transaction() as one:
            with suppress(*UNUSABLE):
                await one.execute_query("SELECT 1 / 0")


async def _first_use() -> None:
    await Tortoise.get_connection("default").close()
    await _commit()


async def _waits() -> None:
    async with AsyncExitStack() as leases:
        for _ in range(SIZE):
            await leases.enter_async_context(primary().acquire_connection())
        waiting = asyncio.create_task(_commit())
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})


@pytest.mark.parametrize("insists", [False, True])
@pytest.mark.parametrize(
    "work",
    [
        _plain,
        _commit,
        _roll_back,
        _nested,
        _tortoise_begins,
        _refused_at_commit,
        _first_use,
        _waits,
    ],
)
async def test_a_cancellation_at_any_await_loses_no_connection(server, work, insists):
    async with (
        direct_connection(server.url) as watch,
        database(server.url, pool_size=SIZE, wait_seconds=5),
    ):
        await _is_whole(watch)
        async for _ in each_cancellation(work, insists=insists):
            await _is_whole(watch)


@pytest.mark.parametrize("insists", [False, True])
async def test_an_after_commit_hook_runs_in_spite_of_cancellations(server, insists):
    async with direct_connection(server.url) as watch, database(server.url, pool_size=SIZE):
        begun, ended, committed = [], [], 0

        async def write(course: Course):
            async def announce() -> None:
                begun.append(course.id)
                await asyncio.sleep(0.001)
                # A connection of its own, for the pool's only one may be in use.
                await primary().execute_query("SELECT 1")
                ended.append(course.id)

            async with transaction():
                await course.save(force_create=True)
                after_commit(announce)

        course = _course()

        def next_write():
            nonlocal course
            course = _course()
            return write(course)

        for _ in range(SIZE):
            await next_write()  # a connection prepares its statements once
        async for number in each_cancellation(next_write, insists=insists):
            stands = await Course.exists(id=course.id)
            committed += stands
            assert (course.id in ended) == (course.id in begun) == stands, number
        # Cancelled before the commit, during commit and announcement, and not at all.
        assert committed == 2
        await _is_whole(watch)


async def test_after_a_rollback_no_after_commit_hook_runs(server):
    async with database(server.url, pool_size=1):
        followed = []

        async def note(what) -> None:
            followed.append(what)

        with pytest.raises(RuntimeError):
            async with transaction():
                after_commit(lambda: note("all"))
                raise RuntimeError
        async with transaction():
            after_commit(lambda: note("first"))
            with suppress(RuntimeError):
                async with transaction():
                    after_commit(lambda: note("part"))
                    raise RuntimeError
            after_commit(lambda: note("last"))
            assert not followed
        assert followed == ["first", "last"]
        with pytest.raises(NoTransaction):
            after_commit(lambda: note("never"))


async def test_a_commit_that_postgresql_turns_into_a_rollback_raises(server):
    async with database(server.url, pool_size=1):
        followed = []

        async def note() -> None:
            followed.append(1)

        with pytest.raises(RolledBack):
            async with transaction() as one:
                after_commit(note)
                with suppress(*UNUSABLE):
                    await one.execute_query("SELECT 1 / 0")
        assert not followed


async def test_after_commit_hooks_run_if_the_commits_outcome_is_unknown(server):
    async with direct_connection(server.url) as other, database(server.url, pool_size=1):
        followed = []

        async def note() -> None:
            followed.append(1)

        with pytest.raises(UNUSABLE):
            async with transaction() as one:
                after_commit(note)
                [own] = await one.execute_query_dict("SELECT pg_backend_pid() AS pid")
                await other.execute("SELECT pg_terminate_backend($1)", own["pid"])
        assert followed == [1]


async def test_an_error_of_an_after_commit_hook_affects_neither_the_commit_nor_other_hooks(
    server, caplog
):
    async with database(server.url, pool_size=1):
        followed = []

        async def fail() -> None:
            raise RuntimeError("after the commit")

        async def note() -> None:
            followed.append(1)

        async with transaction():
            after_commit(fail)
            after_commit(note)
        assert followed == [1]


async def test_repeated_kills_of_the_server_lose_no_connection(server):
    async with database(server.url, pool_size=SIZE, wait_seconds=0.5, prewarm=True):
        random, over = Random(7), asyncio.Event()

        async def client() -> None:
            while not over.is_set():
                work = asyncio.create_task(random.choice([_plain, _commit, _nested])())
                done, _ = await asyncio.wait({work}, timeout=random.choice([0.001, 0.01, 5]))
                if not done:
                    work.cancel()
                with suppress(asyncio.CancelledError, *UNUSABLE):
                    await work
                await asyncio.sleep(0.01)

        for _ in range(RESTARTS):
            over.clear()
            clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
            await asyncio.sleep(0.2)
            await server.kill()
            await asyncio.sleep(0.2)
            await server.start()
            over.set()
            await asyncio.gather(*clients)
            async with direct_connection(server.url) as watch:
                await _is_whole(watch)


async def test_a_lease_that_lasts_too_long_is_ended_and_counted(server):
    async with (
        direct_connection(server.url) as watch,
        database(server.url, pool_size=SIZE, wait_seconds=0.2, lease=0.4),
    ):
        # Never returned, as by a bug.
        left = [primary().acquire_connection() for _ in range(SIZE - 1)]
        stuck = [await each.__aenter__() for each in left]

        async def go_on() -> None:
            async with transaction():
                await asyncio.sleep(2)

        going_on = asyncio.create_task(go_on())
        await asyncio.sleep(0.05)
        with pytest.raises(PoolFull):
            await _plain()
        await eventually(_idle, within=5)
        assert pop_expired_leases() == SIZE
        assert pop_expired_leases() == 0
        with pytest.raises(UNUSABLE):
            await stuck[0].fetchval("SELECT 1")
        with pytest.raises(UNUSABLE):
            await going_on
        await _is_whole(watch)


async def test_a_pool_that_leases_nothing_is_unhealthy_and_a_busy_one_is_not(server, monkeypatch):
    monkeypatch.setattr("infra.db.engine.RECENT_SECONDS", 0.3)
    async with database(server.url, pool_size=SIZE, wait_seconds=0.2):
        assert await leases_connections()
        async with AsyncExitStack() as leases:
            for _ in range(SIZE):
                await leases.enter_async_context(primary().acquire_connection())
            # Full, but the last lease is recent.
            assert await leases_connections()
            await asyncio.sleep(0.4)
            assert not await leases_connections()
        assert await leases_connections()


async def test_sessions_have_timeouts_for_statements_and_idle_transactions(server):
    async with database(server.url, pool_size=1):
        [found] = await primary().execute_query_dict(
            "SELECT current_setting('statement_timeout') AS statement, "
            "current_setting('idle_in_transaction_session_timeout') AS idle"
        )
        assert found == {"statement": "35s", "idle": "30s"}
    async with direct_connection(server.url) as connection:
        # COPY, VACUUM and migrations have no time limit.
        assert await connection.fetchval("SHOW statement_timeout") == "0"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"


async def test_readiness_uses_the_requests_pool(server, monkeypatch):
    monkeypatch.setattr("infra.db.engine.RECENT_SECONDS", 0.0)
    async with (
        database(server.url, pool_size=1, wait_seconds=0.1),
        open_pool(server.url, pool_size=1) as beside,
    ):
        queries = HealthQueries(beside)
        assert await queries.is_connected()
        async with primary().acquire_connection():
            assert not await queries.is_connected()
        assert await queries.is_connected()


async def test_a_stopping_process_waits_for_its_after_commit_hooks(server):
    ended = []

    async def announce() -> None:
        await asyncio.sleep(0.2)
        ended.append(1)

    async def write() -> None:
        async with transaction():
            after_commit(announce)

    async with database(server.url, pool_size=1):
        await primary().execute_query("SELECT 1")
        writing = asyncio.create_task(write())
        await asyncio.sleep(0.05)
        writing.cancel()
    assert ended == [1]
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_a_statement_that_outlives_its_pool_completes(server):
    async with database(server.url, pool_size=SIZE):
        statement = asyncio.create_task(
            primary().execute_query_dict("SELECT pg_sleep(0.5), 1 AS n")
        )
        await eventually(_is_leased, within=5)
    assert [row["n"] for row in await statement] == [1]


async def _is_leased() -> bool:
    return pool_use().in_use == 1
