"""What operators see of the queues, also of tasks that no relay has published."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.db.engine import database
from infra.queue import operations, queries, queues, stats
from infra.queue.enqueue import enqueue
from infra.queue.errors import TaskNotCancellable
from infra.queue.queries import TaskFilters
from infra.queue.queues import Limits
from models import Task, TaskState

pytestmark = pytest.mark.usefixtures("_tables", "task_hooks")


@pytest.fixture
async def _tables(new_database):
    async with database(await new_database(), pool_size=2):
        yield


async def _task(name, queue, state=TaskState.QUEUED, ago=0.0):
    task_id = await enqueue(name, {})
    at = datetime.now(UTC) - timedelta(seconds=ago)
    ended = at if state in {TaskState.SUCCEEDED, TaskState.FAILED} else None
    await Task.filter(id=task_id).update(
        queue=queue, state=state, finished_at=ended, available_at=at
    )
    return task_id


async def _overview():
    found, names = await stats.overview()
    return {each.stats.queue: each for each in found}, names


async def test_a_queue_has_counts_age_rate_and_control():
    await _task("test.a", "one", ago=90)
    await _task("test.b", "one")
    await _task("test.a", "one", TaskState.RUNNING)
    await _task("test.a", "one", TaskState.FAILED, ago=10)
    await _task("test.a", "one", TaskState.SUCCEEDED, ago=10)
    await _task("test.a", "one", TaskState.SUCCEEDED, ago=120)
    await _task("test.c", "idle", TaskState.SUCCEEDED, ago=120)
    await queues.limit("steered", Limits(concurrency=3))
    found, names = await _overview()
    assert list(found) == ["idle", "one", "steered"]
    one = found["one"]
    assert (one.stats.queued, one.stats.running, one.stats.failed) == (2, 1, 1)
    assert 90 <= one.stats.oldest_due_seconds < 100
    assert one.ended_per_minute == 2
    assert found["idle"].ended_per_minute == 0
    assert found["steered"].control.concurrency == 3
    assert names == ["test.a", "test.b", "test.c"]


async def test_unpublished_tasks_count_in_the_queue_that_their_kind_was_in():
    await _task("test.known", "one", TaskState.SUCCEEDED)
    waiting = await _task("test.known", None)
    await _task("test.new", None)
    await queues.pause("one")
    found, _ = await _overview()
    assert {name: each.stats.queued for name, each in found.items()} == {"-": 1, "one": 1}
    assert found["one"].control.paused_at
    ids = await queries.list_ids(TaskFilters(frozenset({"queued"}), queue="one"))
    assert ids == [waiting]


async def test_of_many_tasks_the_newest_make_the_rate(monkeypatch):
    monkeypatch.setattr(stats, "MOST_COUNTED", 3)
    for ago in (40, 30, 20, 6, 4, 2):
        await _task("test.a", "one", TaskState.SUCCEEDED, ago=ago)
    found, _ = await _overview()
    # Three in the last six seconds.
    assert 25 < found["one"].ended_per_minute <= 30


async def test_tasks_of_a_queue_are_listed_and_counted():
    ids = [await _task("test.a", "one") for _ in range(3)]
    await _task("test.a", "two")
    of_one = TaskFilters(queue="one")
    assert await queries.count(of_one) == 3
    assert {task.id for task in await queries.list_tasks(of_one, 9)} == set(ids)
    assert await queries.list_ids(of_one, 2) == ids[:2]


async def test_operating_on_many_goes_on_after_a_refusal():
    ended = await _task("test.a", "one", TaskState.SUCCEEDED)
    waiting = await _task("test.a", "one")
    refusals = await operations.for_each(operations.cancel, [ended, waiting])
    assert list(refusals) == [ended]
    assert isinstance(refusals[ended], TaskNotCancellable)
    assert (await queries.get(waiting)).state == TaskState.CANCELLED
