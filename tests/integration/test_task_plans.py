"""Old snapshots keep the index entries of tasks that ran; no statement of the queue walks these."""

import ast
import asyncio
import json
import logging
import re
from contextlib import closing, suppress
from pathlib import Path

import pytest
from celery import Celery
from uuid_utils.compat import uuid7

from infra.db.engine import database, direct_connection
from infra.queue import leases, operations, queues
from infra.queue.enqueue import enqueue
from infra.queue.errors import LeaseLost, TaskStateConflict
from infra.queue.publish import PLANNER, DueTasks
from infra.queue.queues import Limits
from models import Task
from tasks.registry import Registration
from worker.relay import Relay

RAN = 3000
NAMES_A_ROW = re.compile(r"\b(?:UPDATE|FROM) tasks\b.*\bWHERE id = ", re.DOTALL)
STATE_BESIDE_ID = re.compile(r"\bid = (?:ANY\()?\$\d.*\bAND \(*state\b", re.DOTALL)


@pytest.fixture
async def url(new_database, task_hooks):
    """A database with tables, and Tortoise on it."""
    url = await new_database()
    async with database(url, pool_size=2):
        yield url


async def _every_statement_by_id() -> None:
    async def claimed() -> leases.Claim:
        task_id = await enqueue("test.task", {})
        await Task.filter(id=task_id).update(max_attempts=3)
        return await leases.claim(task_id, "a worker")

    # One that may not start, because of its queue.
    await queues.limit("queue", Limits(rate=1, rate_seconds=60, burst=1))
    task_id = await enqueue("test.task", {})
    await Task.filter(id=task_id).update(queue="queue")
    assert await leases.claim(task_id, "a worker") is None
    claim = await claimed()
    await leases.renew([claim])
    await leases.report(claim, 50)
    await leases.finish(claim)
    assert await leases.claim(claim.id, "a worker", is_hint=True) is None
    assert await leases.claim(claim.id, "a worker") is None
    await leases.complete_without_effects(await claimed())
    await leases.fail_attempt(await claimed(), "error", "traceback", permanent=True)
    claim = await claimed()
    await operations.cancel(claim.id)
    await leases.mark_cancelled(claim)
    await operations.retry(claim.id)
    await operations.cancel(claim.id)
    await operations.drop(claim.id)
    with suppress(LeaseLost):
        await leases.finish(claim)


async def test_what_names_a_task_by_id_uses_no_other_index(url, caplog):
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        await _every_statement_by_id()
    sent = dict(
        record.args
        for record in caplog.records
        if record.name == "tortoise.db_client" and NAMES_A_ROW.search(str(record.args[0]))
    )
    assert len(sent) >= 12
    async with direct_connection(url, settings={"enable_seqscan": "off"}) as connection:
        queries = []
        with connection.query_logger(lambda each: queries.append((each.query, each.args))):
            await DueTasks(connection).unmark([{"id": uuid7()}])
            await asyncio.sleep(0)  # the logger is called later
        # Without the key, whatever index a condition on the state matches would be used.
        await connection.execute("ALTER TABLE tasks DROP CONSTRAINT tasks_pkey CASCADE")
        [unmark] = [each for each in queries if NAMES_A_ROW.search(each[0])]
        for query, values in [*sent.items(), unmark]:
            plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *values)
            nodes = list(_nodes(json.loads(plan)[0]["Plan"]))
            assert [node for node in nodes if node.get("Relation Name") == "tasks"]
            conditions = [node["Index Cond"] for node in nodes if "Index Cond" in node]
            assert not [each for each in conditions if "state" in each], query
            partial = {"ix_tasks_due", "ix_tasks_lease", "uq_tasks_dedupe_key"}
            assert not partial & {node.get("Index Name") for node in nodes}, query


def test_no_statement_in_the_code_names_a_task_by_id_and_its_state_plainly():
    strings = [
        node.value
        for folder in ("api", "infra", "services", "tasks", "worker")
        for path in Path(folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [text for text in strings if "tasks" in text and "WHERE id = " in text]
    assert not [text for text in strings if STATE_BESIDE_ID.search(text)]


async def test_a_task_is_refused_what_its_state_forbids_and_nothing_else(url):
    task_id = await enqueue("test.task", {})
    await Task.filter(id=task_id).update(max_attempts=3)
    claim = await leases.claim(task_id, "a worker")
    for act in (operations.retry, operations.drop):
        with pytest.raises(TaskStateConflict):
            await act(task_id)
    assert await leases.fail_attempt(claim, "error", "traceback", permanent=True) == "failed"
    with pytest.raises(TaskStateConflict):
        await operations.cancel(task_id)
    await operations.drop(task_id)


async def _nothing(_context) -> None:
    """Do nothing."""


async def test_with_an_old_snapshot_a_pass_reads_no_more_than_what_it_publishes(url, monkeypatch):
    # The pass that looks at all comes once a second, which this machine may take for one of ours.
    monkeypatch.setattr("infra.queue.scans.LEAST_SECONDS", 3600.0)
    kinds = {"test.task": Registration("test.task", _nothing, "queue", 3, 60, (), None)}
    queries = []
    async with (
        direct_connection(url) as snapshot,
        direct_connection(url, settings=PLANNER) as connection,
    ):
        await snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM tasks LIMIT 1")
        await _add(snapshot_free=connection, count=RAN)
        await snapshot.fetch("SELECT 1")
        with closing(Relay(connection, Celery(broker="memory://"), kinds)) as relay:
            relay._send_all = lambda _rows: None  # noqa: SLF001  it has no public name
            for _ in range(2):
                await _publish_all_but_some(relay, connection)
                await _add(snapshot_free=connection, count=50)
                await asyncio.sleep(0.15)
            with connection.query_logger(lambda each: queries.append((each.query, each.args))):
                assert await relay.publish() == 50
                await asyncio.sleep(0)
            async with connection.transaction():
                pages = [await _pages(connection, *each) for each in queries]
    assert len(pages) == 2
    # Each entry that is walked is a page, for its row has to be looked at.
    assert max(pages) < RAN / 3


async def _add(*, snapshot_free, count: int) -> None:
    await snapshot_free.execute(
        "INSERT INTO tasks (id, name, args) "
        "SELECT gen_random_uuid(), 'test.task', '{}' FROM generate_series(1, $1::int)",
        count,
    )


async def _publish_all_but_some(relay, connection) -> None:
    while await relay.publish() or relay.has_more:
        await connection.execute(
            "UPDATE tasks SET state = 'running', lease_until = now() + interval '30 s' "
            "WHERE state = 'queued' AND published_at IS NOT NULL"
        )


async def _pages(connection, query, values) -> int:
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *values)
    scans = [
        node for node in _nodes(json.loads(plan)[0]["Plan"]) if node["Node Type"] == "Index Scan"
    ]
    return max(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in scans)


async def test_the_table_is_vacuumed_by_count_and_keeps_room_in_its_pages(connection):
    options = await connection.fetchval("SELECT reloptions FROM pg_class WHERE relname = 'tasks'")
    assert {"fillfactor=80", "autovacuum_vacuum_scale_factor=0"} <= set(options)


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
