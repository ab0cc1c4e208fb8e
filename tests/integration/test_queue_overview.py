"""What operators see of the queues, also of tasks that no relay has published."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.db.engine import database, primary
from infra.db.sql import rows
from infra.queue import operations, queries, queues, stats
from infra.queue.enqueue import enqueue
from infra.queue.errors import TaskNotCancellable
from infra.queue.kind import KINDS
from infra.queue.queries import TaskFilters
from infra.queue.queues import Limits
from models import Task, TaskState
from tasks.registry import Registration

pytestmark = pytest.mark.usefixtures("_tables", "task_hooks")


@pytest.fixture
async def _tables(new_database):
    async with database(await new_database(), pool_size=2):
        yield


async def _nothing(_context):
    """Does nothing."""


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
    assert {"idle", "one", "steered"} <= set(found)
    assert list(found) == sorted(found)
    one = found["one"]
    assert (one.stats.queued, one.stats.due, one.stats.running, one.stats.failed) == (2, 2, 1, 1)
    assert 90 <= one.stats.oldest_due_seconds < 100
    assert one.ended_per_minute == 2
    assert found["idle"].ended_per_minute == 0
    assert found["steered"].control.concurrency == 3
    assert {"test.a", "test.b", "test.c"} <= set(names)
    assert names == sorted(names)


async def test_unpublished_tasks_count_in_the_queue_of_their_kind(monkeypatch):
    kind = Registration("test.known", _nothing, "one", 9, 60, (), None)
    monkeypatch.setitem(KINDS, kind.name, kind)
    waiting = await _task("test.known", None)
    await _task("test.known", "one")
    await _task("test.new", None)
    await queues.pause("one")
    found, names = await _overview()
    assert {name: found[name].stats.queued for name in ("-", "one")} == {"-": 1, "one": 2}
    assert found["one"].control.paused_at
    assert {"test.known", "test.new"} <= set(names)
    (known,) = [each for each in await stats.kind_stats() if each.name == "test.known"]
    assert (known.queue, known.queued) == ("one", 2)
    ids = await queries.list_ids(TaskFilters(frozenset({"queued"}), queue="one"))
    assert waiting in ids
    assert len(ids) == 2


async def test_of_many_tasks_later_ones_hide_none_that_is_due(monkeypatch):
    monkeypatch.setattr(stats, "MOST_COUNTED", 3)
    in_a_day = 86_400
    first = await enqueue("test.a", {}, delay=in_a_day)
    for _ in range(5):
        await enqueue("test.a", {}, delay=in_a_day)
        await enqueue("test.a", {}, after=[first])
        await enqueue("test.line", {}, concurrency_key="later", delay=in_a_day)
    await _task("test.a", "one", ago=600)
    await enqueue("test.a", {}, priority=9)
    # In line for its key, behind nobody: no relay runs here.
    line = await enqueue("test.line", {}, concurrency_key="a key")
    await rows("UPDATE tasks SET due_at = now() - interval '300 s' WHERE id = $1", line)
    by_name = {(each.name, each.queue): each for each in await stats.kind_stats()}
    old = by_name["test.a", "one"]
    assert (old.queued, old.due) == (1, 1)
    assert 600 <= old.oldest_due_seconds < 700
    rest = by_name["test.a", "-"]
    assert (rest.queued, rest.due) == (4, 1)
    assert rest.relay_lag_seconds > 0
    in_line = by_name["test.line", "-"]
    assert (in_line.queued, in_line.due, in_line.relay_lag_seconds) == (4, 1, 0)
    assert 300 <= in_line.oldest_due_seconds < 400
    (whole,) = [each for each in await stats.queue_stats() if each.queue == "-"]
    assert (whole.queued, whole.due) == (8, 2)


async def test_what_is_unfinished():
    async def left():
        return [await stats.unfinished(later=later) for later in (False, True)]

    assert await left() == [0, 0]
    await enqueue("test.a", {}, delay=60)
    assert await left() == [0, 1]
    parent = await enqueue("test.a", {})
    await enqueue("test.a", {}, after=[parent])
    assert await left() == [1, 3]
    await Task.filter(id=parent).update(state=TaskState.RUNNING)
    assert await left() == [1, 3]
    # No relay has told its successor yet.
    await Task.filter(id=parent).update(state=TaskState.FAILED, finished_at=datetime.now(UTC))
    assert await left() == [1, 3]
    await Task.filter(id=parent).update(is_awaited=False)
    assert await left() == [0, 2]


async def test_how_queues_are_held_back():
    await queues.pause("paused")
    await rows("UPDATE task_queues SET paused_at = now() - interval '1 h'")
    await queues.pause("ended", timedelta(0))
    await queues.limit("limited", Limits(concurrency=1))
    await queues.limit("slow", Limits(rate=2, rate_seconds=3600, burst=1))
    held = await stats.held_back(primary())
    assert 3600 <= held.pop("paused").paused < 3700
    assert held == {"ended": (0, 0), "limited": (0, 0), "slow": (0, 1800)}


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
