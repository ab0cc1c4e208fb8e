"""The errors of the queue. The API maps these classes to a status."""

from infra.errors import DeclaredError


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


class LeaseLost(Exception):
    """The task was given to another worker, or was cancelled: nothing of this run may commit"""
