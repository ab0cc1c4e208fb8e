"""One run of a task in a worker: its heartbeat, its time limit, and what is said of its errors."""

import asyncio
import threading
import time
import weakref
from contextlib import closing, suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from infra.cache import ResponseCache, SecondLevel
from infra.db.engine import database, direct_connection
from infra.queue import leases, operations, queries
from infra.queue.enqueue import enqueue
from infra.queue.errors import LeaseLost
from infra.queue.sweep import LOST_WORKER
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Course, Difficulty, Task, TaskState
from tasks import threads
from tasks.registry import PermanentError, Registration, load_tasks
from worker import app, heartbeat
from worker.execution import UNFORESEEN, Backends, ThreadLeftBehind, execute
from worker.heartbeat import Heartbeat
from worker.relay import Relay

BEAT_SECONDS = 0.05
LONG_SECONDS = 6 * BEAT_SECONDS
NAME = "test.task"


@pytest.fixture(autouse=True)
async def url(new_database, task_hooks, monkeypatch):
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", BEAT_SECONDS)
    url = await new_database()
    async with database(url, pool_size=3):
        yield url


@pytest.fixture
def run(url):
    """Run a body as a task; return what the worker says, and the row."""
    beating = Heartbeat(url)
    beating.start()

    async def run(body, limit: float = 60) -> tuple[str | None, Task]:
        task_id = await enqueue(NAME, {})
        await Task.filter(id=task_id).update(max_attempts=3)
        kinds = {NAME: Registration(NAME, body, "default", 3, limit, (PermanentError,), None)}
        cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
        settings = Settings(_env_file=None)
        backends = Backends(settings, MemoryStorage("/media"), cache, kinds, "this", beating)
        said = await execute(backends, task_id)
        return said, await queries.get(task_id)

    yield run
    beating.stop()


@pytest.mark.parametrize("inside", [0, LONG_SECONDS])
async def test_what_a_body_does_after_its_commit_is_not_cut_off(run, inside):
    done = []

    async def body(context) -> None:
        async with context.finishing():
            await asyncio.sleep(inside)
        await asyncio.sleep(LONG_SECONDS)
        done.append(context.id)

    said, task = await run(body)
    assert (said, task.state, len(done)) == ("succeeded", TaskState.SUCCEEDED, 1)


async def test_a_body_whose_commit_failed_can_still_be_cancelled(run):
    async def body(context) -> None:
        with suppress(RuntimeError):
            async with context.finishing():
                await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
                raise RuntimeError
        await operations.cancel(context.id)
        await asyncio.sleep(60)

    said, task = await run(body)
    assert (said, task.state) == ("cancelled", TaskState.CANCELLED)
    assert await Course.all().count() == 0


async def test_a_body_whose_commit_failed_succeeds_at_its_second_try(run):
    async def body(context) -> None:
        with suppress(RuntimeError):
            async with context.finishing():
                raise RuntimeError

    assert (await run(body))[1].state == TaskState.SUCCEEDED


async def test_a_body_that_takes_too_long_is_ended_and_tried_again(run):
    async def body(_context) -> None:
        await asyncio.sleep(60)

    said, task = await run(body, limit=0.1)
    assert (said, task.state) == ("queued", TaskState.QUEUED)
    assert task.error == "The task took longer than its 0.1 s"
    assert "TimeoutError" in task.traceback


async def test_a_timeout_of_the_bodys_own_is_not_the_tasks(run):
    async def body(_context) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    said, task = await run(body)
    assert (said, task.error) == ("queued", UNFORESEEN)
    assert "TimeoutError" in task.traceback


async def test_without_memory_the_attempt_has_failed_and_the_process_is_told(run):
    held = []

    async def body(_context) -> None:
        much = type("Much", (), {})()
        held.append(weakref.ref(much))
        raise MemoryError

    with pytest.raises(MemoryError):
        await run(body)
    task = await Task.get()
    assert (task.state, task.attempts, task.error) == (TaskState.QUEUED, 1, UNFORESEEN)
    assert held[0]() is None


async def _lease(context) -> datetime:
    return (await queries.get(context.id)).lease_until


async def test_a_body_that_blocks_the_event_loop_keeps_its_lease_and_is_logged(
    run, url, monkeypatch
):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(heartbeat, "BLOCKED_SECONDS", 0.3)
    logged = []
    log = SimpleNamespace(warning=lambda event, **fields: logged.append((event, fields)))
    monkeypatch.setattr(heartbeat, "log", log)
    attempts = []

    async def body(context) -> None:
        attempts.append(context.attempt)
        sweeping = asyncio.create_task(asyncio.to_thread(asyncio.run, _sweep_for(url, 2)))
        await asyncio.sleep(0.1)
        time.sleep(1.5)  # noqa: ASYNC251  that is the fault
        swept.append(await sweeping)

    swept = []
    said, task = await run(body)
    assert (said, task.attempts, attempts, swept) == ("succeeded", 1, [1], [0])
    [(event, fields)] = logged
    assert event == "event_loop_blocked"
    assert fields["task"] == NAME
    assert fields["stack"].startswith("body (")
    assert "\n" not in fields["stack"]


async def _sweep_for(url: str, seconds: float) -> int:
    async with direct_connection(url) as connection:
        with closing(Relay(connection, app.app, {})) as relay:
            deadline = time.monotonic() + seconds
            taken = 0
            while time.monotonic() < deadline:
                taken += await relay.sweep()
                await asyncio.sleep(0.05)
    return taken


async def test_a_body_that_blocks_past_its_limit_is_not_renewed_for_ever(run, url, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(heartbeat, "HARD_LIMIT_GRACE_SECONDS", 0.2)
    sweeping = []

    async def body(_context) -> None:
        sweeping.append(asyncio.create_task(asyncio.to_thread(asyncio.run, _sweep_for(url, 1))))
        await asyncio.sleep(0.1)
        time.sleep(1.5)  # noqa: ASYNC251  that is the fault

    said, task = await run(body, limit=0.2)
    assert await sweeping[0] == 1
    assert (said, task.error) == (None, LOST_WORKER)


async def test_the_heartbeat_survives_a_restart_of_its_connection(run, url, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 1.0)
    name = url.rpartition("/")[2].partition("?")[0]
    ended = []

    async def body(context) -> None:
        for _ in range(4):
            before = await _lease(context)
            async with direct_connection(url) as connection:
                ended.append(
                    await connection.fetchval(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE datname = $1 AND query LIKE '%tasks SET lease_until%' "
                        "AND pid <> pg_backend_pid()",
                        name,
                    )
                )
            await asyncio.sleep(10 * BEAT_SECONDS)
            assert await _lease(context) > before

    said, task = await run(body)
    assert (said, task.attempts) == ("succeeded", 1)
    assert sum(ended) >= 2


async def test_a_plain_function_runs_once_in_a_thread_and_can_use_all_that_a_coroutine_can(run):
    done = []

    def body(context) -> None:
        done.append(threading.current_thread() is threading.main_thread())
        context.progress(50)
        assert context.run(queries.get, context.id).attempts == context.attempt == 1
        context.run(context.storage.put, "images/a", b"x", "image/webp")
        course = Course(title="t", description="d", difficulty=Difficulty.BEGINNER)
        context.finish_with(course.save)

    said, task = await run(body)
    assert (said, task.state, task.attempts, done) == ("succeeded", TaskState.SUCCEEDED, 1, [False])
    assert await Course.all().count() == 1


async def test_a_plain_function_that_only_returns_has_succeeded(run):
    assert (await run(lambda _context: None))[1].state == TaskState.SUCCEEDED


async def test_a_plain_function_that_fails_is_tried_again_and_commits_nothing(run):
    async def writes() -> None:
        await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
        raise RuntimeError("broken")

    said, task = await run(lambda context: context.finish_with(writes))
    assert (said, task.error) == ("queued", UNFORESEEN)
    assert "broken" in task.traceback
    assert await Course.all().count() == 0


async def test_a_plain_function_that_blocks_keeps_its_lease(run, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)

    def body(context) -> None:
        time.sleep(1)
        assert context.run(_lease, context) > datetime.now(UTC)

    said, task = await run(body)
    assert (said, task.attempts) == ("succeeded", 1)


async def test_a_thread_that_outlives_its_attempt_has_no_effect_and_its_process_ends(
    run, monkeypatch
):
    monkeypatch.setattr(threads, "THREAD_SECONDS", 0.1)
    woken, ended, refused = threading.Event(), threading.Event(), []

    def body(context) -> None:
        woken.wait(10)
        for act in (
            lambda: context.finish_with(Course(title="t", description="d").save),
            lambda: context.progress(50),
        ):
            try:
                act()
            except LeaseLost as error:
                refused.append(error)
        ended.set()

    with pytest.raises(ThreadLeftBehind):
        await run(body, limit=0.2)
    task = await Task.get()
    assert (task.state, task.error) == (TaskState.QUEUED, "The task took longer than its 0.2 s")
    woken.set()
    assert await asyncio.to_thread(ended.wait, 5)
    assert len(refused) == 2
    assert await Course.all().count() == 0


async def test_a_thread_that_heeds_what_it_is_told_costs_no_process(run):
    def body(context) -> None:
        context.run(operations.cancel, context.id)
        while True:
            context.progress(1)

    said, task = await run(body)
    assert (said, task.state) == ("cancelled", TaskState.CANCELLED)


async def test_what_a_thread_does_in_its_transaction_is_rolled_back_at_its_limit(run):
    async def writes() -> None:
        await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
        await asyncio.sleep(60)

    said, task = await run(lambda context: context.finish_with(writes), limit=0.5)
    assert (said, task.error) == ("queued", "The task took longer than its 0.5 s")
    assert await Course.all().count() == 0


async def test_a_plain_function_that_returns_a_coroutine_fails_for_good(run):
    said, task = await run(lambda _context: asyncio.sleep(0))
    assert said == "failed"
    assert "async def" in task.error


async def test_a_thread_that_would_wait_for_itself_is_told_so(run):
    async def nested(context) -> None:
        context.run(asyncio.sleep, 0)

    said, task = await run(lambda context: context.run(nested, context))
    assert said == "queued"
    assert "on the event loop, await" in task.traceback


def test_code_that_blocks_is_killed_some_time_after_its_limit():
    for kind in load_tasks().values():
        limit = app.app.tasks[kind.name].time_limit
        assert limit == kind.timeout + heartbeat.HARD_LIMIT_GRACE_SECONDS
