"""What the pools, the image store, tasks and the relay count, read as Prometheus does."""

import asyncio
from contextlib import closing

import asyncpg
import pytest
from celery import Celery
from tortoise.exceptions import BaseORMException

from infra.cache import ResponseCache, SecondLevel
from infra.db.engine import database, primary
from infra.db.pool import PoolFull
from infra.db.sql import rows
from infra.db.statistics import operation_of, reason_of
from infra.db.transactions import transaction
from infra.observability import metrics, task_metrics
from infra.observability.meters import Instance
from infra.observability.totals import Totals, open_channel
from infra.queue import operations
from infra.queue.enqueue import enqueue
from infra.queue.sweep import sweep
from infra.settings import Settings
from infra.storage import StorageUnavailable
from infra.storage.measured import MeasuredStorage
from infra.storage.memory import MemoryStorage
from models import Task
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from tasks.registry import PermanentError, Registration
from tests.metrics_of import key
from worker.execution import Backends, execute
from worker.heartbeat import Heartbeat
from worker.relay import BrokerAway, Relay

NAME = "test.counted"
task_metrics.task_names.add(NAME)


@pytest.fixture
def counted():
    """Return what was counted since the start of the test."""
    receiver, sender = open_channel()
    with receiver, sender:
        metrics.forget()
        metrics.set_sender(sender)
        totals = Totals(Instance.WORKER)

        def read() -> dict:
            metrics.flush()
            try:
                while True:
                    totals.add(receiver.recv(1 << 20))
            except BlockingIOError:
                return {
                    key(sample.name, **sample.labels): sample.value
                    for family in totals.collect()
                    for sample in family.samples
                    if sample.value
                }

        yield read
        metrics.set_sender(None)


@pytest.fixture
async def url(new_database, task_hooks):
    return await new_database()


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "select"),
        ("\n    select\n1", "select"),
        ("(SELECT 1) UNION (SELECT 2)", "select"),
        ("INSERT INTO a SELECT 1", "insert"),
        ("WITH a AS (DELETE FROM b RETURNING c) INSERT INTO d SELECT (c) FROM a", "insert"),
        ("WITH RECURSIVE a AS (SELECT (1)), b AS (SELECT 2) UPDATE c SET d = 1", "update"),
        ("with a as (insert into b values ((1))) select 1", "select"),
        ("DELETE FROM a", "delete"),
        ("BEGIN;SET LOCAL statement_timeout = '1'", "other"),
        ("COMMIT", "other"),
        ("WITH", "other"),
        ("", "other"),
    ],
)
def test_a_statement_is_counted_by_its_main_verb(statement, operation):
    assert operation_of(statement) == operation


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(), "connection"),
        (asyncpg.CannotConnectNowError(), "connection"),
        (asyncpg.InterfaceError("closed"), "connection"),
        (TimeoutError(), "timeout"),
        (asyncpg.QueryCanceledError(), "timeout"),
        (asyncpg.DeadlockDetectedError(), "conflict"),
        (asyncpg.DiskFullError(), "resources"),
        (asyncpg.TooManyConnectionsError(), "resources"),
        (asyncpg.ReadOnlySQLTransactionError(), "resources"),
        (asyncpg.UndefinedTableError(), "statement"),
    ],
)
def test_an_error_of_the_database_has_a_reason(error, reason):
    assert reason_of(error) == reason
    assert reason in metrics.DATABASE_ERRORS


async def test_statements_and_their_errors_are_counted(url, counted):
    async def statements(operation: str) -> float:
        await asyncio.sleep(0)  # asyncpg reports a statement in the loop's next turn
        return counted().get(key("database_query_duration_seconds_count", operation=operation), 0)

    async with database(url, pool_size=1):
        await rows("SELECT 1")
        await rows("DELETE FROM tasks")
        assert (await statements("select"), await statements("delete")) == (1, 1)
        async with transaction():
            await rows("UPDATE tasks SET progress = 1")
        assert (await statements("update"), await statements("other")) == (1, 2)
        with pytest.raises(BaseORMException):
            await rows("SELECT 1 / 0")
        with pytest.raises(BaseORMException):
            await rows("INSERT INTO task_schedules VALUES (NULL, now())")
        slow = asyncio.create_task(rows("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.1)
        slow.cancel()
        await asyncio.wait([slow])
        # Neither a row that a constraint refuses nor a cancelled statement is an error.
        errors = {each: figure for each, figure in counted().items() if "errors" in each[0]}
        assert errors == {key("database_errors_total", reason="statement"): 1}
        assert await statements("insert") == 1


async def test_waits_for_a_connection_are_counted(url, counted):
    async with database(url, pool_size=1, wait_seconds=0.1):
        async with primary().acquire_connection():
            with pytest.raises(PoolFull):
                await rows("SELECT 1")
        found = counted()
        assert found[key("database_pool_wait_seconds_count")] == 2
        assert found[key("database_pool_wait_seconds_sum")] >= 0.1
        assert found[key("database_pool_timeouts_total")] == 1
        assert key("database_errors_total", reason="timeout") not in found


async def test_a_database_that_is_away_is_counted(counted):
    async with database("postgresql://nobody@127.0.0.1:1/none", pool_size=1):
        with pytest.raises(OSError, match=r"refused|failed"):
            await rows("SELECT 1")
    assert counted()[key("database_errors_total", reason="connection")] >= 1


async def test_calls_of_the_store_are_counted_by_their_outcome(counted):
    class Away(MemoryStorage):
        async def get(self, _key):
            raise StorageUnavailable("away")

        async def list_keys(self, prefix):
            if prefix == "":
                await asyncio.sleep(60)
            return await super().list_keys(prefix)

    store = MeasuredStorage(Away("/media"))
    await store.put("a/1", b"x", "image/webp")
    assert await store.delete_prefix("a/") == 1
    with pytest.raises(StorageUnavailable):
        await store.get("a/1")
    waiting = asyncio.create_task(store.list_keys(""))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    calls = {
        tuple(dict(labels)[each] for each in ("operation", "outcome")): figure
        for (name, labels), figure in counted().items()
        if name == "storage_request_duration_seconds_count"
    }
    assert calls == {("put", "ok"): 1, ("delete", "ok"): 1, ("get", "error"): 1}


@pytest.fixture
async def run(url):
    """Run a body as a task, on each of its attempts."""
    beating = Heartbeat(url)

    async def run(body, attempts: int = 1) -> None:
        kinds = {NAME: Registration(NAME, body, "default", 3, 60, (PermanentError,), None)}
        cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
        settings = Settings(_env_file=None)
        parts = settings, MemoryStorage("/media"), cache, FlagFeed(Flags()), kinds
        backends = Backends(*parts, "this", beating)
        task_id = await enqueue(NAME, {})
        await Task.filter(id=task_id).update(max_attempts=3)
        for _ in range(attempts):
            await rows("UPDATE tasks SET available_at = now() - interval '2 s'")
            await execute(backends, task_id)

    async with database(url, pool_size=3):
        yield run


def attempts_of(found: dict) -> dict[str, float]:
    return {
        dict(labels)["outcome"]: figure
        for (name, labels), figure in found.items()
        if name == "task_attempts_total" and dict(labels)["task"] == NAME
    }


async def test_a_task_that_succeeds_at_its_second_attempt(run, counted):
    tries = []

    async def body(_context) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError

    await run(body, attempts=2)
    found = counted()
    assert attempts_of(found) == {"retried": 1, "succeeded": 1}
    assert found[key("task_attempts_taken_count", task=NAME)] == 1
    assert found[key("task_attempts_taken_sum", task=NAME)] == 2
    assert found[key("task_duration_seconds_count", task=NAME)] == 2
    assert found[key("task_wait_seconds_count", task=NAME)] == 2
    assert 4 <= found[key("task_wait_seconds_sum", task=NAME)] < 60


async def test_a_task_that_fails_for_good(run, counted):
    async def body(_context) -> None:
        raise PermanentError

    await run(body)
    assert attempts_of(counted()) == {"failed": 1}
    assert counted()[key("task_attempts_taken_sum", task=NAME)] == 1


async def test_a_task_that_is_cancelled_while_it_runs(run, counted):
    async def body(context) -> None:
        await operations.cancel(context.id)
        await context.finish()

    await run(body)
    assert attempts_of(counted()) == {"cancelled": 1}


async def test_an_attempt_whose_lease_lapses_is_lost(run, counted, url):
    async def body(context) -> None:
        await rows("UPDATE tasks SET lease_until = now() - interval '1 s'")
        connection = await asyncpg.connect(url)
        assert await sweep(connection) == 1
        await connection.close()
        await context.finish()

    await run(body)
    # The process finds that it has lost the task and counts nothing.
    assert attempts_of(counted()) == {"lost": 1}


async def test_a_batch_that_the_broker_does_not_take_is_counted(url, counted):
    connection = await asyncpg.connect(url)
    celery = Celery(broker="redis://127.0.0.1:1/0", config_source={"task_ignore_result": True})
    celery.conf.broker_transport_options = {"max_retries": 0, "socket_connect_timeout": 1}
    kinds = {NAME: Registration(NAME, attempts_of, "default", 3, 60, (), None)}
    async with database(url, pool_size=1):
        await enqueue(NAME, {})
        with closing(Relay(connection, celery, kinds)) as relay, pytest.raises(BrokerAway):
            await relay.publish()
    await connection.close()
    celery.close()
    assert counted()[key("broker_publish_duration_seconds_count", outcome="error")] == 1
