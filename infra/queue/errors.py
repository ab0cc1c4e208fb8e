"""The errors of the queue. The API maps these classes to a status."""

from infra.errors import DeclaredError, SelfDescribed

MAX_SNOOZE_SECONDS = 366 * 86400.0


class QueueError(DeclaredError):
    """The queue refused an operation"""


class TaskNotFound(QueueError):
    """The requested task does not exist"""


class TaskStateConflict(QueueError):
    """The state of the task does not allow this"""


class TaskNotRetryable(TaskStateConflict):
    """Only a failed, cancelled or waiting task can be retried"""


class TaskNotCancellable(TaskStateConflict):
    """The task has ended already"""


class TaskNotDroppable(TaskStateConflict):
    """Only a task that has ended can be dropped; cancel it first"""


class InvalidArguments(SelfDescribed, ValueError):
    """The function of a task does not take these arguments"""


class ScheduleNotFound(QueueError):
    """No task of this release has this schedule"""


class QueueNotFound(QueueError):
    """The requested queue does not exist"""


class QueueNotPaused(QueueError):
    """The queue is not paused"""


class QueueNotLimited(QueueError):
    """The queue has no limits"""


class UnknownPredecessor(QueueError):
    """A task can wait only for tasks that exist"""


class InvalidWorkflow(QueueError):
    """The steps of a workflow do not fit each other"""


class WorkflowNotFound(QueueError):
    """The requested workflow does not exist"""


class WorkflowStateConflict(QueueError):
    """No task of the workflow is in a state that allows this"""


class InvalidResult(QueueError):
    """The result of a task can't be stored"""


class TaskFailed(QueueError):
    """The task has failed"""


class TaskCancelled(QueueError):
    """The task was cancelled"""


class TaskExpired(TaskCancelled):
    """It was too late to start the task"""


class ResultNotKept(TaskNotFound):
    """No task has this id, or it is no longer kept"""


class LeaseLost(Exception):
    """The task was given to another worker, or was cancelled: nothing of this run may commit"""


class Snooze(Exception):
    """The running task is queued again and due after a time; the attempt does not count"""

    def __init__(self, seconds: float) -> None:
        """Set the time, from 0 to `MAX_SNOOZE_SECONDS`.

        Raises:
            ValueError: it is out of this range.

        """
        if not 0 <= seconds <= MAX_SNOOZE_SECONDS:
            raise ValueError(f"a snooze takes 0 to {MAX_SNOOZE_SECONDS:g} s (it is {seconds})")
        super().__init__(f"It is due again in {seconds:g} s")
        self.seconds = seconds
