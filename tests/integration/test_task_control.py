"""What operators do to tasks."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.db.engine import database
from infra.queue import leases, operations, queries, stats
from infra.queue.enqueue import enqueue
from infra.queue.errors import (
    TaskNotCancellable,
    TaskNotDroppable,
    TaskNotFound,
    TaskNotRetryable,
)
from infra.queue.kind import KINDS
from infra.queue.queries import Cursor, TaskFilters
from infra.queue.table import FINAL
from models import Task, TaskState
from tasks.registry import task

NO_ID = "019aae3c-5f00-7cc0-8000-3f1bb9a3c001"


@pytest.fixture
async def _tables(new_database):
    async with database(await new_database(), pool_size=2):
        yield


pytestmark = pytest.mark.usefixtures("_tables", "task_hooks")


async def _task(state: TaskState, name: str = "test.task", age: timedelta = timedelta()) -> Task:
    task_id = await enqueue(name, {})
    ended = datetime.now(UTC) - age if state in FINAL else None
    await Task.filter(id=task_id).update(
        state=state,
        finished_at=ended,
        max_attempts=1,
        attempts=0 if state is TaskState.QUEUED else 1,
        created_at=datetime.now(UTC) - age,
    )
    return await queries.get(task_id)


@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.CANCELLED])
async def test_an_ended_task_is_queued_again_and_runs(state):
    task = await operations.retry((await _task(state)).id)
    assert (task.state, task.finished_at, task.max_attempts) == (TaskState.QUEUED, None, None)


async def test_a_waiting_task_is_due_at_once():
    task = await _task(TaskState.QUEUED)
    await Task.filter(id=task.id).update(available_at=datetime.now(UTC) + timedelta(hours=1))
    assert (await operations.retry(task.id)).available_at <= datetime.now(UTC)
    assert (await queries.get(task.id)).max_attempts == 1


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.SUCCEEDED])
async def test_what_runs_or_succeeded_is_not_retried(state):
    with pytest.raises(TaskNotRetryable):
        await operations.retry((await _task(state)).id)


async def test_a_waiting_task_is_cancelled_at_once():
    task = await operations.cancel((await _task(TaskState.QUEUED)).id)
    assert task.state == TaskState.CANCELLED
    assert await leases.claim(task.id, "one") is None


@pytest.mark.parametrize("state", sorted(FINAL))
async def test_what_has_ended_is_not_cancelled_but_can_be_dropped(state):
    task = await _task(state)
    with pytest.raises(TaskNotCancellable):
        await operations.cancel(task.id)
    await operations.drop(task.id)
    with pytest.raises(TaskNotFound):
        await queries.get(task.id)


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.RUNNING])
async def test_what_has_not_ended_is_not_dropped(state):
    with pytest.raises(TaskNotDroppable):
        await operations.drop((await _task(state)).id)


@pytest.mark.parametrize("act", [operations.retry, operations.cancel, operations.drop])
async def test_there_must_be_such_a_task(act):
    with pytest.raises(TaskNotFound):
        await act(NO_ID)


async def test_listings_filter_and_page_without_gaps():
    made = [await _task(TaskState.FAILED, age=timedelta(minutes=n)) for n in range(5)]
    other = await _task(TaskState.SUCCEEDED, name="test.other", age=timedelta(hours=3))
    failed = TaskFilters(states=frozenset({TaskState.FAILED}))
    first = await queries.list_tasks(failed, 3)
    rest = await queries.list_tasks(failed, 3, Cursor(first[-1].created_at, first[-1].id))
    assert [task.id for task in first + rest] == [task.id for task in made]
    assert [task.id for task in await queries.list_tasks(TaskFilters(name="test.other"), 9)] == [
        other.id
    ]
    old = TaskFilters(older_than=timedelta(minutes=150))
    assert await queries.list_ids(old) == [other.id]


async def test_stats_count_by_queue():
    await _task(TaskState.QUEUED)
    await _task(TaskState.FAILED)
    task = await _task(TaskState.RUNNING)
    await Task.filter(id=task.id).update(queue="images")
    by_queue = {each.queue: each for each in await stats.queue_stats()}
    assert (by_queue["-"].queued, by_queue["-"].failed) == (1, 1)
    assert (by_queue["images"].running, by_queue["images"].oldest_due_seconds) == (1, 0)


async def test_stats_count_no_more_of_a_state_than_they_are_to(monkeypatch):
    monkeypatch.setattr(stats, "MOST_COUNTED", 2)
    oldest = await _task(TaskState.QUEUED, age=timedelta(hours=1))
    await Task.filter(id=oldest.id).update(available_at=oldest.created_at)
    for _ in range(3):
        await _task(TaskState.QUEUED)
        await _task(TaskState.FAILED)
    (found,) = await stats.queue_stats()
    assert (found.queued, found.failed) == (2, 2)
    assert found.oldest_due_seconds > 3500


async def test_pruning_keeps_what_failed_and_what_is_recent():
    week = timedelta(days=7)
    kept = [await _task(TaskState.FAILED, age=2 * week), await _task(TaskState.SUCCEEDED)]
    await _task(TaskState.SUCCEEDED, age=2 * week)
    await _task(TaskState.CANCELLED, age=2 * week)
    assert await operations.prune(datetime.now(UTC) - week) == 2
    assert await operations.prune(datetime.now(UTC) - week) == 0
    assert {task.id for task in await Task.all()} == {task.id for task in kept}


@pytest.fixture
def _kinds():
    """Two kinds with retentions of their own: shorter and longer than that of the others."""
    names = {"test.brief": timedelta(days=1), "test.long": timedelta(days=60)}
    for name, keep_for in names.items():
        task(name, keep_for=keep_for)(_nothing)
    yield
    for name in names:
        del KINDS[name]


async def _nothing(_context) -> None:
    """Do nothing."""


@pytest.mark.usefixtures("_kinds")
async def test_a_kind_may_have_a_retention_of_its_own():
    day = timedelta(days=1)
    kept = [
        await _task(TaskState.SUCCEEDED, "test.brief"),
        await _task(TaskState.FAILED, "test.brief", 2 * day),
        await _task(TaskState.SUCCEEDED, "test.long", 50 * day),
        await _task(TaskState.SUCCEEDED, age=2 * day),
    ]
    for name, age in (("test.brief", 2), ("test.long", 70), ("test.task", 40)):
        await _task(TaskState.CANCELLED, name, age * day)
    assert await operations.prune(datetime.now(UTC) - 30 * day) == 3
    assert {task.id for task in await Task.all()} == {task.id for task in kept}
    # What has been looked at is not read again, but goes with all others.
    await _task(TaskState.SUCCEEDED, "test.brief", 2 * day)
    assert await operations.prune(datetime.now(UTC) - 30 * day) == 0
    assert await operations.prune(datetime.now(UTC) - day) == 2


@pytest.mark.parametrize("keep_for", [timedelta(seconds=-1), timedelta.max])
def test_a_retention_has_a_range(keep_for):
    with pytest.raises(ValueError, match=r"keep_for of test\.odd"):
        task("test.odd", keep_for=keep_for)
