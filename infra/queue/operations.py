"""Operations on tasks: retry, cancel, drop; and the pruning of old tasks."""

from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError

from infra.db import batches
from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue import hooks
from infra.queue.errors import TaskNotCancellable, TaskNotDroppable, TaskNotRetryable
from infra.queue.hooks import Operation
from infra.queue.queries import get
from infra.queue.table import CHANNEL, COLUMNS, TaskRow, unindexed

_IS_RETRYABLE = unindexed("state IN ('queued', 'failed', 'cancelled')")
_IS_OPEN = unindexed("state IN ('queued', 'running')")
_IS_FINAL = unindexed("state IN ('succeeded', 'failed', 'cancelled')")

_RETRY = f"""
    UPDATE tasks
    SET state = 'queued', available_at = now(), published_at = NULL, lease_until = NULL,
        max_attempts = CASE WHEN state = 'queued' THEN max_attempts END,
        finished_at = NULL, cancel_requested = FALSE, progress = 0
    WHERE id = $1 AND {_IS_RETRYABLE}
    RETURNING {COLUMNS}, pg_notify($2, '')
"""  # noqa: S608  constants of this room
_CANCEL = f"""
    UPDATE tasks
    SET cancel_requested = TRUE,
        state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
        finished_at = CASE WHEN state = 'queued' THEN now() END
    WHERE id = $1 AND {_IS_OPEN}
    RETURNING {COLUMNS}
"""  # noqa: S608  constants of this room
_DROP = f"DELETE FROM tasks WHERE id = $1 AND {_IS_FINAL} RETURNING {COLUMNS}"  # noqa: S608


async def retry(task_id: UUID) -> TaskRow:
    """Queue a failed or cancelled task with all its attempts again; make a waiting task due now.

    The number of attempts keeps rising, which fences off a run that is still alive.

    Raises:
        TaskNotFound: no task has this id.
        TaskNotRetryable: it runs or succeeded, or an open task has its dedupe key.

    """
    try:
        return await _operate(Operation.RETRY, TaskNotRetryable, _RETRY, task_id, CHANNEL)
    except IntegrityError:
        raise TaskNotRetryable("Another task does the same work already") from None


async def cancel(task_id: UUID) -> TaskRow:
    """Cancel a waiting task at once; a running task at its next report or heartbeat.

    Raises:
        TaskNotFound: no task has this id.
        TaskNotCancellable: it has ended.

    """
    return await _operate(Operation.CANCEL, TaskNotCancellable, _CANCEL, task_id)


async def drop(task_id: UUID) -> None:
    """Delete a task that has ended.

    Raises:
        TaskNotFound: no task has this id.
        TaskNotDroppable: it has not ended.

    """
    await _operate(Operation.DROP, TaskNotDroppable, _DROP, task_id)


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
        await hooks.run(operation, task)
    return task


async def prune(finished_before: datetime) -> int:
    """Delete the tasks that succeeded or were cancelled before a time; failed tasks stay."""
    return await batches.delete(
        "tasks", "state IN ('succeeded', 'cancelled') AND finished_at < $1", finished_before
    )
