"""Backfills: each row is filled once, whatever dies; operators watch, pause and resume them."""

import asyncio
import json
import os
from contextvars import Context

import psutil
import pytest

from deploy.embedded.servers import running
from infra.cache import ResponseCache, SecondLevel
from infra.db.engine import database
from infra.db.migrations import migrate
from infra.db.sql import rows
from infra.queue import operations, queries
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from tasks import backfills
from tasks.registry import REGISTRY, load_tasks
from tests import forkserver
from tests.factories import eventually
from tests.plugins.brokers import worker
from tests.plugins.packages import write_package
from tests.processes import processes_of
from worker.execution import Backends, execute
from worker.heartbeat import Heartbeat

NAME = "notes.fill"
ROWS = 1_000
TABLE = """
    CREATE TABLE notes
        (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), filled int NOT NULL DEFAULT 0)
"""
FILLED = "SELECT filled, count(*)::int AS rows FROM notes GROUP BY filled ORDER BY filled"
PLUGIN = f"""
from infra.db.sql import rows
from tasks.backfills import backfill


@backfill({NAME!r}, table="notes", batch=20, share=0.5)
async def fill(keys):
    await rows("UPDATE notes SET filled = filled + 1 WHERE id = ANY($1)", keys)
    await rows("SELECT pg_sleep(0.1)")
"""


async def _table(count):
    await rows(TABLE)
    await rows("INSERT INTO notes SELECT FROM generate_series(1, $1)", count)


async def _filled():
    return [tuple(row.values()) for row in await rows(FILLED)]


@pytest.fixture
async def url(new_database, task_hooks):
    url = await new_database()
    async with database(url, pool_size=3):
        await _table(50)
        yield url


@pytest.fixture
def declare():
    """Declares backfills for a test; returns the function that registers."""
    load_tasks()
    before = dict(REGISTRY)
    yield lambda fill, **options: backfills.backfill(NAME, table="notes", **options)(fill)
    REGISTRY.clear()
    REGISTRY.update(before)
    backfills.BACKFILLS.pop(NAME, None)


@pytest.fixture
def run(url):
    """Runs a task once, as a worker does; returns what the worker says and the row."""
    beating = Heartbeat(url)
    beating.start()

    async def run(task_id):
        await rows(
            "UPDATE tasks SET max_attempts = coalesce(max_attempts, 3), available_at = now() "
            "WHERE id = $1",
            task_id,
        )
        cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
        parts = Settings(_env_file=None), MemoryStorage("/media"), cache, FlagFeed(Flags())
        said = await execute(Backends(*parts, load_tasks(), "this", beating), task_id)
        return said, await queries.get(task_id)

    yield run
    beating.stop()


async def _fill(keys):
    await rows("UPDATE notes SET filled = filled + 1 WHERE id = ANY($1)", keys)


async def test_a_backfill_gives_its_process_back_and_goes_on_at_its_checkpoint(
    run, declare, monkeypatch
):
    monkeypatch.setattr(backfills, "SLICE_SECONDS", 0)
    declare(_fill, batch=20, share=0.9)
    task_id = await backfills.start(NAME)
    seen = []
    for _ in range(3):
        said, task = await run(task_id)
        assert said == task.state == "queued"
        seen.append((task.progress, task.checkpoint["done"]))
    assert seen == [(40, 20), (80, 40), (99, 50)]
    # A run that is given back is no attempt of the three.
    said, task = await run(task_id)
    assert (said, task.progress, task.attempts) == ("succeeded", 100, 4)
    assert await _filled() == [(1, 50)]


async def test_a_batch_that_fails_commits_nothing_and_is_tried_again(run, declare):
    calls = []

    async def fill(keys):
        await _fill(keys)
        calls.append(keys)
        if len(calls) == 2:
            raise RuntimeError

    declare(fill, batch=20, share=1)
    task_id = await backfills.start(NAME)
    assert (await run(task_id))[0] == "queued"
    assert await _filled() == [(0, 30), (1, 20)]
    assert (await run(task_id))[0] == "succeeded"
    assert await _filled() == [(1, 50)]
    assert calls[1] == calls[2]


async def test_a_paused_backfill_stops_after_its_batch_and_resumes_there(run, declare):
    async def fill(keys):
        await _fill(keys)
        if not seen:
            # In a context of its own it has another session, as the command has.
            loop = asyncio.get_running_loop()
            seen.append(loop.create_task(operations.cancel(task_id), context=Context()))
            await asyncio.wait(seen)

    seen = []
    declare(fill, batch=20, share=1)
    task_id = await backfills.start(NAME)
    said, task = await run(task_id)
    assert (said, task.state) == ("cancelled", "cancelled")
    assert await _filled() == [(0, 50)]
    await operations.retry(task_id)
    assert (await run(task_id))[0] == "succeeded"
    assert await _filled() == [(1, 50)]


async def test_a_run_without_its_lease_commits_no_batch(run, declare):
    async def fill(keys):
        await _fill(keys)
        await rows("UPDATE tasks SET attempts = attempts + 1 WHERE id = $1", task_id)

    declare(fill, share=1)
    task_id = await backfills.start(NAME)
    assert (await run(task_id))[0] is None
    assert await _filled() == [(0, 50)]


async def test_a_backfill_works_for_its_share_of_the_time(run, declare):
    async def fill(_keys):
        await asyncio.sleep(0.05)

    declare(fill, batch=10, share=0.25)
    began = asyncio.get_running_loop().time()
    assert (await run(await backfills.start(NAME)))[0] == "succeeded"
    assert asyncio.get_running_loop().time() - began >= 5 * 0.05 / 0.25


async def test_a_backfill_is_started_once(url, declare):
    declare(_fill)
    assert await backfills.start(NAME) == await backfills.start(NAME)


def test_a_share_must_be_a_share(declare):
    for share in (0, 1.1):
        with pytest.raises(ValueError, match="share of notes"):
            declare(_fill, share=share)


@pytest.fixture(scope="module")
async def plugged(tmp_path_factory):
    """A worker with a backfill of a package, on servers of its own: its environment and folder."""
    folder = tmp_path_factory.mktemp("plugged")
    write_package(folder / "packages", "notes", PLUGIN)
    async with running(folder / "servers", {"postgres", "broker"}, fsync=False) as chosen:
        environment = {
            **chosen.environment,
            "PYTHONPATH": str(folder / "packages"),
            "STORAGE_URL": "memory://",
            "WORKER_CONCURRENCY": "1",
        }
        await migrate(environment["DATABASE_URL"])
        async with database(environment["DATABASE_URL"], pool_size=3):
            await _table(ROWS)
            async with worker(folder / "worker", environment):
                yield environment, folder / "worker"


async def test_a_backfill_survives_kill_9_and_is_watched_paused_and_resumed(plugged):
    environment, folder = plugged

    async def enroll(*command):
        done = await forkserver.enroll("backfills", *command, env=os.environ | environment)
        assert done.code == 0, done.errors
        return done.output

    async def shown():
        [row] = json.loads(await enroll("list", "--json"))
        return row

    async def has_done(count):
        return (task := await queries.get(task_id)).checkpoint and task.checkpoint["done"] >= count

    assert (await shown())["state"] == "not started"
    await enroll("start", NAME)
    [task_id] = [row["id"] for row in await rows("SELECT id FROM tasks WHERE name = $1", NAME)]
    await eventually(lambda: has_done(100), within=90)
    _kill_children(folder)
    # Its lease lapses after 30 s; the test does not wait.
    done = (await queries.get(task_id)).checkpoint["done"]
    await rows("UPDATE tasks SET lease_until = now() WHERE id = $1 AND state = 'running'", task_id)
    await eventually(lambda: has_done(done + 100), within=90)
    await enroll("pause", NAME)
    await eventually(lambda: _is(task_id, "cancelled"), within=90)
    row = await shown()
    assert row["state"] == "cancelled"
    assert row["rows"] == f"{(await queries.get(task_id)).checkpoint['done']} of {ROWS}"
    await enroll("resume", NAME)
    await eventually(lambda: _is(task_id, "succeeded"), within=90)
    assert await _filled() == [(1, ROWS)]
    assert (await shown())["progress"] == "100 %"


async def _is(task_id, state):
    return (await queries.get(task_id)).state == state


def _kill_children(folder):
    ours = {process.pid for process in processes_of(folder)}
    [parent] = [process for process in processes_of(folder) if process.ppid() not in ours]
    for child in parent.children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
