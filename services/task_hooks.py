"""What an operation on a task or schedule means to the domain; each process registers it."""

from infra.cache import Cache
from infra.queue.hooks import Operation, ScheduleOperation
from infra.queue.table import TaskRow
from services.audit import trail
from services.audit.trail import Action
from services.catalogue.change import publish_after_commit
from services.task_names import TaskName

_ACTIONS = {
    Operation.RETRY: Action.RETRY_TASK,
    Operation.CANCEL: Action.CANCEL_TASK,
    Operation.DROP: Action.DROP_TASK,
}
_SCHEDULE_ACTIONS = {
    ScheduleOperation.PAUSE: Action.PAUSE_SCHEDULE,
    ScheduleOperation.RESUME: Action.RESUME_SCHEDULE,
    ScheduleOperation.SET: Action.SET_SCHEDULE,
}


class TaskHooks:
    """Records the operation, and publishes the change of a course whose image the task makes."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def on_operation(self, operation: Operation, task: TaskRow) -> None:
        """Add to the transaction of an operation."""
        await trail.record(_ACTIONS[operation], task.id)
        if task.name == TaskName.PROCESS_IMAGE:
            await publish_after_commit(self._cache)

    async def on_schedule_operation(
        self, operation: ScheduleOperation, name: str, details: dict[str, str] | None
    ) -> None:
        """Record the operation."""
        await trail.record(_SCHEDULE_ACTIONS[operation], name, details)
