"""Tasks that wait for others are due once, when these have ended, and get their results."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from celery import Celery
from uuid_utils.compat import uuid7

from infra.db.engine import database, direct_connection
from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue import leases, operations, publish, queries, results, stats, workflows
from infra.queue.enqueue import enqueue
from infra.queue.errors import (
    InvalidWorkflow,
    TaskNotDroppable,
    TaskNotRetryable,
    UnknownPredecessor,
    WorkflowNotFound,
    WorkflowStateConflict,
)
from infra.queue.results import Predecessor
from infra.queue.successors import PREDECESSOR_FAILED, OnFailure
from infra.queue.workflows import CALLBACK, Step
from models import Task, TaskEdge, TaskState
from tasks.registry import Registration
from tests.factories import eventually
from worker.relay import Relay

KIND = "test.task"


async def _nothing(_context) -> None:
    """Do nothing."""


@pytest.fixture
async def url(new_database, task_hooks):
    """A database of the test's own, and Tortoise on it."""
    url = await new_database()
    async with database(url, pool_size=8):
        yield url


@pytest.fixture
async def relay(url):
    """A relay of that database; what it publishes is in its list `sent`."""
    async with direct_connection(url, settings=publish.PLANNER) as connection:
        kinds = {KIND: Registration(KIND, _nothing, "queue", 3, 10, (), None)}
        with closing(Relay(connection, Celery(broker="memory://"), kinds)) as relay:
            relay.sent = []
            relay._send_all = lambda batch: relay.sent.extend(row["id"] for row in batch)  # noqa: SLF001  it has no public name
            yield relay


async def _published(relay) -> set[UUID]:
    """Return what one pass publishes."""
    relay.sent.clear()
    while await relay.publish():
        pass
    return set(relay.sent)


async def _succeed(task_id, result=None) -> None:
    claim = await leases.claim(task_id, "a worker")
    await leases.finish(claim, results.dump(result))


async def _fail(task_id) -> None:
    claim = await leases.claim(task_id, "a worker")
    await leases.fail_attempt(claim, "broken", "traceback", permanent=True)


async def _states(*ids) -> list[str]:
    return [(await queries.get(each)).state for each in ids]


async def test_a_task_is_due_when_all_have_succeeded_that_it_waits_for(relay):
    first, second = [await enqueue(KIND, {}) for _ in range(2)]
    child = await enqueue(KIND, {}, after={"left": first, "right": second})
    assert await _published(relay) == {first, second}
    assert await leases.claim(child, "a worker") is None
    await _succeed(first, {"width": 3})
    assert await _published(relay) == set()
    await _succeed(second)
    assert await _published(relay) == {child}
    assert await results.predecessors(child) == {
        "left": Predecessor(first, "succeeded", {"width": 3}, None),
        "right": Predecessor(second, "succeeded", None, None),
    }


async def test_a_task_may_wait_for_one_that_has_ended(relay):
    parent = await enqueue(KIND, {})
    await _published(relay)
    await _succeed(parent)
    assert await _published(relay) == set()
    child = await enqueue(KIND, {}, after=[parent])
    assert await _published(relay) == {child}
    assert list(await results.predecessors(child)) == [str(parent)]
    await _fail(child)
    anyway = await enqueue(KIND, {}, after=[child], on_failure=OnFailure.RUN)
    assert await _published(relay) == {anyway}
    skipped = await enqueue(KIND, {}, after=[child])
    await operations.retry(child)
    assert await _published(relay) == {child}
    await _succeed(child)
    assert await _published(relay) == {skipped}


async def test_the_end_of_a_task_wakes_the_relays_only_if_others_wait_for_it(relay, url):
    woken = []
    alone, parent = [await enqueue(KIND, {}) for _ in range(2)]
    await enqueue(KIND, {}, after=[parent])
    await _published(relay)
    async with direct_connection(url) as listener:
        await listener.add_listener("tasks", lambda *_: woken.append(1))
        await _succeed(alone)
        await listener.fetchval("SELECT 1")
        assert not woken
        await _succeed(parent)
        await listener.fetchval("SELECT 1")
        assert woken


async def test_a_task_waits_only_for_tasks_that_exist(url):
    parent = await enqueue(KIND, {})
    with pytest.raises(UnknownPredecessor, match="00000000-0000-0000-0000-000000000001"):
        await enqueue(KIND, {}, after=[parent, UUID(int=1)])
    own = uuid7()
    with pytest.raises(UnknownPredecessor):
        await enqueue(KIND, {}, task_id=own, after=[own])
    for name in ("", "x" * 129):
        with pytest.raises(InvalidWorkflow, match="1 to 128"):
            await enqueue(KIND, {}, after={name: parent})
    assert await Task.all().count() == 1


@pytest.mark.parametrize("when", [{"delay": 60}, {"run_at": datetime(2100, 1, 1, tzinfo=UTC)}])
async def test_a_task_waits_for_others_or_for_a_time(url, when):
    with pytest.raises(ValueError, match="after or a time"):
        await enqueue(KIND, {}, after=[await enqueue(KIND, {})], **when)


async def test_a_task_that_exists_waits_for_nothing_more(url):
    parent = await enqueue(KIND, {})
    known = await enqueue(KIND, {}, dedupe_key="key")
    assert await enqueue(KIND, {}, dedupe_key="key", after=[parent]) == known
    assert await TaskEdge.all().count() == 0
    assert (await queries.get(known)).waits_for == 0


async def test_after_a_rollback_nothing_waits(relay):
    parent = await enqueue(KIND, {})
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await enqueue(KIND, {}, after=[parent])
            raise ZeroDivisionError
    assert await _published(relay) == {parent}
    await _succeed(parent)
    assert await _published(relay) == set()


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_becomes_of_successors_is_declared(relay, is_cancelled):
    parent = await enqueue(KIND, {})
    skipped = await enqueue(KIND, {}, after=[parent])
    later = await enqueue(KIND, {}, after=[skipped])
    anyway = await enqueue(KIND, {}, after={"it": parent}, on_failure=OnFailure.RUN)
    cleanup = await enqueue(KIND, {}, after=[later], on_failure=OnFailure.RUN)
    await _published(relay)
    await (operations.cancel(parent) if is_cancelled else _fail(parent))
    assert await _published(relay) == {anyway, cleanup}
    assert await _states(skipped, later) == [TaskState.CANCELLED] * 2
    assert (await queries.get(later)).error == PREDECESSOR_FAILED
    known = (await results.predecessors(anyway))["it"]
    assert known.state == ("cancelled" if is_cancelled else "failed")
    assert known.error == (None if is_cancelled else "broken")


async def test_a_retried_task_releases_its_successors_once(relay):
    parent, other = [await enqueue(KIND, {}) for _ in range(2)]
    child = await enqueue(KIND, {}, after=[parent, other])
    last = await enqueue(KIND, {}, after=[child])
    anyway = await enqueue(KIND, {}, after=[parent], on_failure=OnFailure.RUN)
    await _published(relay)
    await _fail(parent)
    assert await _published(relay) == {anyway}
    await _succeed(anyway)
    await _succeed(other)
    assert await _published(relay) == set()
    assert await _states(child, last) == [TaskState.CANCELLED] * 2
    await operations.retry(parent)
    assert await _states(child, last) == [TaskState.QUEUED] * 2
    assert await _published(relay) == {parent}
    await _succeed(parent)
    assert await _published(relay) == {child}
    await _succeed(child)
    assert await _published(relay) == {last}
    assert await _states(anyway) == [TaskState.SUCCEEDED]


async def test_a_retry_helps_only_when_all_that_failed_is_retried(relay):
    left, right = [await enqueue(KIND, {}) for _ in range(2)]
    child = await enqueue(KIND, {}, after=[left, right])
    await _published(relay)
    await _fail(left)
    await _fail(right)
    await _published(relay)
    await operations.retry(left)
    await _published(relay)
    assert (await queries.get(child)).error == PREDECESSOR_FAILED
    await _succeed(left)
    assert await _published(relay) == set()
    await operations.retry(child)

    async def is_cancelled():
        await _published(relay)
        return await _states(child) == [TaskState.CANCELLED]

    await eventually(is_cancelled)
    await operations.retry(right)
    await _published(relay)
    await _succeed(right)
    assert await _published(relay) == {child}


async def test_what_an_operator_cancelled_stays_so(relay):
    parent = await enqueue(KIND, {})
    child = await enqueue(KIND, {}, after=[parent])
    await operations.cancel(child)
    await _published(relay)
    await _fail(parent)
    await _published(relay)
    await operations.retry(parent)
    await _published(relay)
    await _succeed(parent)
    assert await _published(relay) == set()
    assert await _states(child) == [TaskState.CANCELLED]
    await operations.retry(child)
    assert await _published(relay) == {child}


async def test_a_retry_makes_no_task_due_that_waits_for_others(relay):
    parent = await enqueue(KIND, {})
    child = await enqueue(KIND, {}, after=[parent])
    await operations.retry(child)
    assert await _published(relay) == {parent}


async def test_a_workflow_is_any_graph_without_circles(relay):
    flow = await workflows.enqueue_workflow(
        {
            "join": Step(KIND, {"n": 4}, after=("left", "right")),
            "left": Step(KIND, {"n": 2}, after=("root",)),
            "right": Step(KIND, {"n": 3}, after=("root", "root"), priority=3),
            "root": Step(KIND, {"n": 1}),
        }
    )
    tasks = flow.tasks
    assert await _published(relay) == {tasks["root"]}
    await _succeed(tasks["root"])
    assert await _published(relay) == {tasks["left"], tasks["right"]}
    await _succeed(tasks["left"], [1])
    await _succeed(tasks["right"], [2])
    assert await _published(relay) == {tasks["join"]}
    handed_on = await results.predecessors(tasks["join"])
    assert {name: each.result for name, each in handed_on.items()} == {"left": [1], "right": [2]}
    shown = {each.task.id: each for each in await workflows.tasks_of(flow.id)}
    assert shown[tasks["join"]].after == {"left": tasks["left"], "right": tasks["right"]}
    assert shown[tasks["right"]].task.priority == 3
    (summary,) = await workflows.list_workflows(10)
    assert (summary.id, summary.succeeded, summary.queued) == (flow.id, 3, 1)


async def test_workflows_are_listed_in_pages_the_newest_first(url):
    flows = []
    for size in (1, 2, 3):
        steps = {f"step {number}": Step(KIND, {}) for number in range(size)}
        flows.append((await workflows.enqueue_workflow(steps)).id)
    await enqueue(KIND, {})
    first, second = [await workflows.list_workflows(2, offset=offset) for offset in (0, 2)]
    assert [each.id for each in first + second] == flows[::-1]
    assert [each.queued for each in first + second] == [3, 2, 1]
    assert await workflows.list_workflows(2, offset=3) == []


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ({}, "at least one step"),
        ({"a": ("b",)}, "'a' waits for 'b', which is no step"),
        ({"a": ("a",)}, "wait for each other: 'a' → 'a'"),
        ({"a": ("c",), "b": ("a",), "c": ("b",)}, "wait for each other: "),
        ({"x" * 129: ()}, "1 to 128"),
    ],
)
async def test_a_workflow_that_cannot_run_is_refused(url, steps, fault):
    with pytest.raises(InvalidWorkflow, match=fault):
        await workflows.enqueue_workflow(
            {name: Step(KIND, {}, after=after) for name, after in steps.items()}
        )
    assert await Task.all().count() == 0


async def test_a_batch_calls_back_once_whatever_became_of_its_tasks(relay):
    batch = await workflows.enqueue_batch(KIND, ({"n": n} for n in range(3)), KIND, {})
    tasks = batch.tasks
    await _published(relay)
    await _succeed(tasks["0"], "done")
    await operations.cancel(tasks["1"])
    assert await _published(relay) == set()
    await _fail(tasks["2"])
    assert await _published(relay) == {tasks[CALLBACK]}
    states = {n: each.state for n, each in (await results.predecessors(tasks[CALLBACK])).items()}
    assert states == {"0": "succeeded", "1": "cancelled", "2": "failed"}
    await _succeed(tasks[CALLBACK])
    await operations.retry(tasks["2"])
    await _published(relay)
    await _succeed(tasks["2"])
    assert await _published(relay) == set()
    with pytest.raises(InvalidWorkflow, match="at least one task"):
        await workflows.enqueue_batch(KIND, [], KIND, {})


async def test_a_workflow_is_cancelled_and_retried_as_a_whole(relay):
    flow = await workflows.enqueue_workflow(
        {
            "done": Step(KIND, {}),
            "failed": Step(KIND, {}),
            "last": Step(KIND, {}, after=("done", "failed")),
        }
    )
    await _published(relay)
    await _succeed(flow.tasks["done"])
    await _fail(flow.tasks["failed"])
    await _published(relay)
    assert await workflows.retry(flow.id) == 2
    assert await _published(relay) == {flow.tasks["failed"]}
    assert await workflows.cancel(flow.id) == 2
    assert await _published(relay) == set()
    with pytest.raises(WorkflowStateConflict):
        await workflows.cancel(flow.id)
    assert await workflows.retry(flow.id) == 2
    assert await _published(relay) == {flow.tasks["failed"]}
    await _succeed(flow.tasks["failed"])
    assert await _published(relay) == {flow.tasks["last"]}
    with pytest.raises(WorkflowStateConflict):
        await workflows.retry(flow.id)
    with pytest.raises(WorkflowNotFound):
        await workflows.retry(UUID(int=1))
    audited = await rows("SELECT action FROM audit_log ORDER BY at")
    assert [row["action"] for row in audited].count("tasks.retry") == 4


async def test_a_workflow_whose_work_another_task_does_is_not_retried_in_part(relay):
    first = await enqueue(KIND, {}, dedupe_key="key")
    child = await enqueue(KIND, {}, after=[first])
    await _published(relay)
    await _fail(first)
    await _published(relay)
    await enqueue(KIND, {}, dedupe_key="key")
    flow = (await queries.get(first)).workflow_id
    for retry in (workflows.retry(flow), operations.retry(first)):
        with pytest.raises(TaskNotRetryable, match="same work"):
            await retry
    assert await _states(first, child) == [TaskState.FAILED, TaskState.CANCELLED]


async def test_two_relays_release_a_task_once_and_wait_for_nobody(relay, url):
    """A transaction that adds a successor to the callback holds its row."""
    batch = await workflows.enqueue_batch(KIND, [{}] * 40, KIND, {})
    other = await workflows.enqueue_batch(KIND, [{}], KIND, {})
    callback = batch.tasks.pop(CALLBACK)
    await _published(relay)
    for task_id in batch.tasks.values():
        await _succeed(task_id)
    await _succeed(other.tasks["0"])
    async with transaction():
        last = await enqueue(KIND, {}, after=[callback])
        found = await asyncio.wait_for(asyncio.create_task(_published_apart(url)), 5)
        assert found == ({other.tasks[CALLBACK]}, True)
    both = await asyncio.gather(_published_apart(url), _published_apart(url))
    again = await _published_apart(url)
    assert [*both[0][0], *both[1][0], *again[0]] == [callback]
    await _succeed(callback)
    assert (await _published_apart(url))[0] == {last}


async def _published_apart(url) -> tuple[set[UUID], bool]:
    """Return what a new relay publishes, and whether it was held back."""
    async with direct_connection(url, settings=publish.PLANNER) as connection:
        kinds = {KIND: Registration(KIND, _nothing, "queue", 3, 10, (), None)}
        with closing(Relay(connection, Celery(broker="memory://"), kinds)) as relay:
            relay.sent = []
            relay._send_all = lambda batch: relay.sent.extend(row["id"] for row in batch)  # noqa: SLF001  it has no public name
            await relay.publish()
            return set(relay.sent), relay.is_held_back


async def test_a_relay_that_stops_within_its_transaction_keeps_no_locks(url):
    settings = publish.PLANNER | {"idle_in_transaction_session_timeout": "100ms"}
    assert publish.PLANNER["idle_in_transaction_session_timeout"]
    async with direct_connection(url, settings=settings) as connection:
        await connection.execute("BEGIN")
        await asyncio.sleep(0.5)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.execute("SELECT 1")


async def test_what_waits_for_others_has_a_key_and_a_deadline(relay):
    parent = await enqueue(KIND, {})
    keyed = await enqueue(KIND, {}, after=[parent], concurrency_key="key")
    late = await enqueue(KIND, {}, after=[parent], start_within=timedelta(seconds=0))
    after_late = await enqueue(KIND, {}, after=[late])
    await _published(relay)
    await relay.run_once()
    assert await _states(keyed, late, after_late) == ["queued", "cancelled", "cancelled"]
    await _succeed(parent)
    # The first pass finds that a task waits for its key.
    assert await _published(relay) | await _published(relay) == {keyed}
    assert await leases.claim(keyed, "a worker")


async def test_a_task_that_waits_for_others_is_not_overdue(relay):
    parent = await enqueue(KIND, {})
    await enqueue(KIND, {}, after=[parent])
    await _published(relay)
    await leases.claim(parent, "a worker")
    shown = {each.queue: each for each in await stats.queue_stats()}
    assert shown[stats.UNASSIGNED].queued == 1
    assert shown[stats.UNASSIGNED].oldest_due_seconds == 0


async def test_tasks_stay_while_others_need_them(relay):
    flow = await workflows.enqueue_workflow(
        {"parent": Step(KIND, {}), "child": Step(KIND, {}, after=("parent",))}
    )
    parent, child = flow.tasks["parent"], flow.tasks["child"]
    await _published(relay)
    await _succeed(parent)
    await _published(relay)
    now = datetime.now(UTC) + timedelta(seconds=1)
    assert await operations.prune(now) == 0
    await _fail(child)
    assert await operations.prune(now) == 0
    await operations.drop(child)
    assert await TaskEdge.all().count() == 0
    assert await operations.prune(now) == 1


async def test_a_task_is_not_dropped_whose_retry_would_be_waited_for(relay):
    parent = await enqueue(KIND, {})
    child = await enqueue(KIND, {}, after=[parent])
    await _published(relay)
    await _fail(parent)
    await _published(relay)
    with pytest.raises(TaskNotDroppable):
        await operations.drop(parent)
    await operations.drop(child)
    await operations.drop(parent)
    assert await Task.all().count() == 0
