"""Housekeeping, on schedule; each safe to run twice."""

from datetime import UTC, datetime, timedelta

from services import task_control
from services.tasks import TaskName
from tasks.registry import TaskContext, task

RETENTION = timedelta(days=7)


@task(TaskName.PRUNE_TASKS, queue="maintenance", every=3600)
async def prune_tasks(context: TaskContext) -> None:
    """Forget the tasks that ended well more than a week ago."""
    removed = await task_control.prune(datetime.now(UTC) - RETENTION)
    context.log.info("tasks_pruned", tasks=removed)
