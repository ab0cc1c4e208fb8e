"""The queue's own housekeeping, also of an application that has no courses."""

from datetime import UTC, datetime, timedelta

from infra.observability.events import Event
from infra.queue import operations
from services.task_names import TaskName
from tasks.registry import TaskContext, task


@task(TaskName.PRUNE_TASKS, queue="maintenance", timeout=600, every=3600)
async def prune_tasks(context: TaskContext) -> None:
    """Delete tasks that succeeded or were cancelled before the retention period."""
    retention = timedelta(days=context.settings.task_retention_days)
    removed = await operations.prune(datetime.now(UTC) - retention)
    context.log.info(Event.TASKS_PRUNED, tasks=removed)
