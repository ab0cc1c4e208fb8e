"""Operations on tasks: retry, cancel, drop; and the pruning of old tasks."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from tortoise.exceptions import IntegrityError

from infra.db import batches
from infra.db.sql import rows
from infra.db.transactions import after_commit, transaction
from infra.queue import hooks, life, successors
from infra.queue.errors import (
    QueueError,
    TaskNotCancellable,
    TaskNotDroppable,
    TaskNotRetryable,
)
from infra.queue.hooks import Operation
from infra.queue.kind import KINDS
from infra.queue.life import HookedTask
from infra.queue.queries import get
from infra.queue.successors import IS_AWAITED
from infra.queue.table import CHANNEL, COLUMNS, TaskRow, unindexed

_IS_RETRYABLE = unindexed("state IN ('queued', 'failed', 'cancelled')")
_IS_OPEN = unindexed("state IN ('queued', 'running')")
_IS_FINAL = unindexed("state IN ('succeeded', 'failed', 'cancelled')")

_SET_RETRIED = f"""
    state = 'queued', available_at = CASE WHEN waits_for = 0 THEN now() ELSE 'infinity' END,
    due_at = NULL, start_before = NULL, published_at = NULL, lease_until = NULL,
    max_attempts = CASE WHEN state = 'queued' THEN max_attempts END,
    finished_at = NULL, cancel_requested = FALSE, progress = 0, is_awaited = {IS_AWAITED}
"""
_SET_CANCELLED = """
    cancel_requested = TRUE,
    state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
    finished_at = CASE WHEN state = 'queued' THEN now() END
"""
_RETURNED = f"{COLUMNS}, pg_notify($2, '')"
_RETRY = f"UPDATE tasks SET {_SET_RETRIED} WHERE id = $1 AND {_IS_RETRYABLE} RETURNING {_RETURNED}"  # noqa: S608  constants only
_CANCEL = f"UPDATE tasks SET {_SET_CANCELLED} WHERE id = $1 AND {_IS_OPEN} RETURNING {_RETURNED}"  # noqa: S608  constants only
# Not while others wait for it, or may wait for it again after a retry.
_DROP = f"""
    DELETE FROM tasks WHERE id = $1 AND {_IS_FINAL} AND NOT {IS_AWAITED} RETURNING {COLUMNS}
"""  # noqa: S608  constants of this room
_OF_WORKFLOW = """
    UPDATE tasks SET {assignments}
    WHERE id = ANY(ARRAY(
        SELECT id FROM tasks WHERE workflow_id = $1 AND {condition}
        ORDER BY id FOR NO KEY UPDATE)) AND {condition}
    RETURNING {returned}
"""
_RETRY_ALL = _OF_WORKFLOW.format(
    assignments=_SET_RETRIED,
    condition=unindexed("state IN ('failed', 'cancelled')"),
    returned=_RETURNED,
)
_CANCEL_ALL = _OF_WORKFLOW.format(
    assignments=_SET_CANCELLED, condition=_IS_OPEN, returned=_RETURNED
)
# A task stays while a task that has waited for it stays, whose retry reads its result.
_IS_PRUNABLE = """
    state IN ('succeeded', 'cancelled') AND finished_at < $1
    AND (workflow_id IS NULL OR NOT EXISTS (
        SELECT FROM task_edges JOIN tasks AS child ON child.id = child_id
        WHERE parent_id = tasks.id AND (child.state = 'failed'
            OR child.finished_at IS NULL OR child.finished_at >= $1)))
"""
_TO_PRUNE = """
    SELECT now() - $2::interval AS until, coalesce(
        (SELECT pruned_until FROM task_retentions WHERE name = $1), '-infinity') AS since
"""
_PRUNED = """
    INSERT INTO task_retentions (name, pruned_until) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET pruned_until = excluded.pruned_until
"""


async def retry(task_id: UUID) -> TaskRow:
    """Queue a failed or cancelled task with all its attempts again; make a waiting task due now.

    The number of attempts keeps rising, which fences off a run that is still alive.

    Raises:
        TaskNotFound: no task has this id.
        TaskNotRetryable: it runs or succeeded, or an open task has its dedupe key.

    """
    with _refused_duplicates():
        async with transaction():
            task = await _operate(Operation.RETRY, TaskNotRetryable, _RETRY, task_id, CHANNEL)
            if task.workflow_id:
                await successors.revive([task_id])
    return task


async def retry_all(workflow_id: UUID) -> int:
    """Retry the tasks of a workflow that failed or were cancelled; return how many.

    Raises:
        TaskNotRetryable: an open task has the dedupe key of one.

    """
    with _refused_duplicates():
        async with transaction():
            retried = await _operate_on_all(Operation.RETRY, _RETRY_ALL, workflow_id)
            await successors.revive([task.id for task in retried])
    return len(retried)


@contextmanager
def _refused_duplicates() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise TaskNotRetryable("Another task does the same work already") from None


async def cancel(task_id: UUID) -> TaskRow:
    """Cancel a waiting task at once; a running task at its next report or heartbeat.

    Raises:
        TaskNotFound: no task has this id.
        TaskNotCancellable: it has ended.

    """
    return await _operate(Operation.CANCEL, TaskNotCancellable, _CANCEL, task_id, CHANNEL)


async def cancel_all(workflow_id: UUID) -> int:
    """Cancel the tasks of a workflow that have not ended; return how many."""
    async with transaction():
        return len(await _operate_on_all(Operation.CANCEL, _CANCEL_ALL, workflow_id))


async def drop(task_id: UUID) -> None:
    """Delete a task that has ended.

    Raises:
        TaskNotFound: no task has this id.
        TaskNotDroppable: it has not ended, or others would wait for it if they were retried.

    """
    async with transaction():
        dropped = await _operate(Operation.DROP, TaskNotDroppable, _DROP, task_id)
        if dropped.workflow_id:
            await successors.disconnect(task_id)


async def for_each(
    act: Callable[[UUID], Awaitable[object]], task_ids: Iterable[UUID]
) -> dict[UUID, QueueError]:
    """Operate on tasks, each in a transaction of its own; return the refusals."""
    refusals = {}
    for task_id in task_ids:
        try:
            await act(task_id)
        except QueueError as error:
            refusals[task_id] = error
    return refusals


async def _operate(
    operation: Operation, refusal: type[Exception], statement: str, task_id: UUID, *values: object
) -> TaskRow:
    """Run a statement and the hooks in one transaction; return the row."""
    async with transaction():
        found = await rows(statement, task_id, *values)
        if not found:
            await get(task_id)
            raise refusal
        task = TaskRow.of(found[0])
        await _run_hooks(operation, task)
    return task


async def _operate_on_all(operation: Operation, statement: str, workflow_id: UUID) -> list[TaskRow]:
    """Run a statement on a workflow, and the hooks of each task, in the running transaction."""
    tasks = [TaskRow.of(row) for row in await rows(statement, workflow_id, CHANNEL)]
    for task in tasks:
        await _run_hooks(operation, task)
    return tasks


async def _run_hooks(operation: Operation, task: TaskRow) -> None:
    await hooks.run(operation, task)
    # A running task ends later, where it runs.
    if life.registered() and operation is not Operation.DROP and task.state != "running":
        about = HookedTask(task.id, task.name, task.attempts)
        after_commit(partial(life.state_changed, about, task.state))


async def prune(finished_before: datetime) -> int:
    """Delete the tasks that succeeded or were cancelled before a time; failed tasks stay.

    Those of a kind with a retention of its own are deleted after that. Dedupe keys whose periods
    have ended are deleted, too.
    """
    own = {kind.name: kind.keep_for for kind in KINDS.values() if kind.keep_for is not None}
    now = datetime.now(UTC)
    longer = [name for name, keep_for in own.items() if now - keep_for < finished_before]
    pruned = await batches.delete(
        "tasks", f"{_IS_PRUNABLE} AND name <> ALL($2::text[])", finished_before, longer
    )
    for name, keep_for in own.items():
        pruned += await _prune_kind(name, keep_for)
    await batches.delete("task_edges", "NOT EXISTS (SELECT FROM tasks WHERE id = child_id)")
    await batches.delete("task_dedupe_keys", "held_until < now()")
    return pruned


async def _prune_kind(name: str, keep_for: timedelta) -> int:
    """Delete the tasks of a kind whose retention has ended since the last time."""
    (period,) = await rows(_TO_PRUNE, name, keep_for)
    pruned = await batches.delete(
        "tasks",
        f"{_IS_PRUNABLE} AND name = $2 AND finished_at >= $3",
        period["until"],
        name,
        period["since"],
    )
    await rows(_PRUNED, name, period["until"])
    return pruned
