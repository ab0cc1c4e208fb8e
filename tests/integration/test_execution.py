"""One run of a task in a worker: its heartbeat, its time limit, and what is said of its errors."""

import asyncio
import weakref
from contextlib import suppress

import pytest

from infra.cache import NoCache, Outpost, open_store
from infra.database import database
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Course, Difficulty, Task, TaskState
from services import task_control, tasks
from services.tasks import enqueue
from tasks.registry import PermanentError, Registration, load_tasks
from worker import app, execution
from worker.execution import UNFORESEEN, Backends, execute

BEAT_SECONDS = 0.05
LONG_SECONDS = 6 * BEAT_SECONDS
NAME = "test.task"


@pytest.fixture(autouse=True)
async def _tables(new_database, monkeypatch):
    monkeypatch.setattr(execution, "HEARTBEAT_SECONDS", BEAT_SECONDS)
    async with database(await new_database(), pool_size=3):
        yield


async def _run(body, limit: float = 60) -> tuple[str | None, Task]:
    """Run a body as a task; return what the worker says, and the row."""
    task_id = await enqueue(NAME, {})
    await Task.filter(id=task_id).update(max_attempts=3)
    kinds = {NAME: Registration(NAME, body, "default", 3, limit, (PermanentError,), None)}
    cache = Outpost(open_store("memory://"))
    settings = Settings(_env_file=None)
    backends = Backends(settings, MemoryStorage("/media"), cache, kinds, "this")
    said = await execute(backends, task_id)
    return said, await tasks.get(task_id)


@pytest.mark.parametrize("inside", [0, LONG_SECONDS])
async def test_what_a_body_does_after_its_commit_is_not_cut_off(inside):
    done = []

    async def body(context) -> None:
        async with context.finishing():
            await asyncio.sleep(inside)
        await asyncio.sleep(LONG_SECONDS)
        done.append(context.id)

    said, task = await _run(body)
    assert (said, task.state, len(done)) == ("succeeded", TaskState.SUCCEEDED, 1)


async def test_a_body_whose_commit_failed_can_still_be_cancelled():
    async def body(context) -> None:
        with suppress(RuntimeError):
            async with context.finishing():
                await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
                raise RuntimeError
        await task_control.cancel(NoCache(), context.id)
        await asyncio.sleep(60)

    said, task = await _run(body)
    assert (said, task.state) == ("cancelled", TaskState.CANCELLED)
    assert await Course.all().count() == 0


async def test_a_body_whose_commit_failed_succeeds_at_its_second_try():
    async def body(context) -> None:
        with suppress(RuntimeError):
            async with context.finishing():
                raise RuntimeError

    assert (await _run(body))[1].state is TaskState.SUCCEEDED


async def test_a_body_that_takes_too_long_is_ended_and_tried_again():
    async def body(_context) -> None:
        await asyncio.sleep(60)

    said, task = await _run(body, limit=0.1)
    assert (said, task.state) == ("queued", TaskState.QUEUED)
    assert task.error == "The task took longer than its 0.1 s"
    assert "TimeoutError" in task.traceback


async def test_a_timeout_of_the_bodys_own_is_not_the_tasks():
    async def body(_context) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    said, task = await _run(body)
    assert (said, task.error) == ("queued", UNFORESEEN)
    assert "TimeoutError" in task.traceback


async def test_without_memory_the_attempt_has_failed_and_the_process_is_told():
    held = []

    async def body(_context) -> None:
        much = type("Much", (), {})()
        held.append(weakref.ref(much))
        raise MemoryError

    with pytest.raises(MemoryError):
        await _run(body)
    task = await Task.get()
    assert (task.state, task.attempts, task.error) == (TaskState.QUEUED, 1, UNFORESEEN)
    assert held[0]() is None


def test_code_that_blocks_is_killed_some_time_after_its_limit():
    for kind in load_tasks().values():
        limit = app.app.tasks[kind.name].time_limit
        assert limit == kind.timeout + app.HARD_LIMIT_GRACE_SECONDS
