"""An operation on a task and what the domain adds to it commit together, or not at all."""

import pytest
from uuid_utils.compat import uuid7

from infra.db.engine import database
from infra.queue import hooks, operations, queries
from infra.queue.enqueue import enqueue
from infra.queue.errors import TaskNotFound
from infra.queue.hooks import NoHooks, Operation
from models import AuditEntry, TaskState
from services.task_names import TaskName

OPERATIONS = {
    Operation.RETRY: operations.retry,
    Operation.CANCEL: operations.cancel,
}


@pytest.fixture(autouse=True)
async def _tables(new_database):
    async with database(await new_database(), pool_size=2):
        yield


class Failing:
    """Hooks that fail after they have written."""

    def __init__(self):
        self.heard = []

    async def on_operation(self, operation, task):
        await enqueue("test.follow_up", {})
        self.heard.append((operation, task.id, task.state))
        raise RuntimeError


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_hooks_that_fail_roll_the_operation_back(operation):
    task_id = await enqueue("test.task", {})
    before = await queries.get(task_id)
    failing = Failing()
    with hooks.registered(failing), pytest.raises(RuntimeError):
        await OPERATIONS[operation](task_id)
    state = TaskState.CANCELLED if operation is Operation.CANCEL else TaskState.QUEUED
    assert failing.heard == [(operation, task_id, state)]
    assert await queries.get(task_id) == before
    assert len(await queries.list_tasks(queries.TaskFilters(), 9)) == 1


async def test_hooks_hear_of_a_dropped_task_as_it_was(task_hooks):
    task_id = await enqueue("test.task", {})
    await operations.cancel(task_id)
    failing = Failing()
    with hooks.registered(failing), pytest.raises(RuntimeError):
        await operations.drop(task_id)
    assert failing.heard == [(Operation.DROP, task_id, TaskState.CANCELLED)]
    await operations.drop(task_id)
    with pytest.raises(TaskNotFound):
        await queries.get(task_id)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_process_that_has_registered_no_hooks_operates_on_nothing(operation):
    task_id = await enqueue("test.task", {})
    before = await queries.get(task_id)
    with pytest.raises(NoHooks):
        await OPERATIONS[operation](task_id)
    assert await queries.get(task_id) == before


async def test_the_domain_records_each_operation(task_hooks):
    args = {"course_id": str(uuid7()), "upload_id": str(uuid7())}
    task_id = await enqueue(TaskName.PROCESS_IMAGE, args)
    await operations.cancel(task_id)
    await operations.retry(task_id)
    await operations.cancel(task_id)
    await operations.drop(task_id)
    recorded = await AuditEntry.all().order_by("at", "id").values_list("action", "target")
    assert recorded == [
        (f"tasks.{what}", str(task_id)) for what in ("cancel", "retry", "cancel", "drop")
    ]
