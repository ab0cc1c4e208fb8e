"""The durable queue for programs that have tasks of their own (docs/queue-quickstart.md)."""

from infra.db.borrowed import in_transaction_of, run_blocking
from infra.db.engine import database
from infra.db.sql import rows
from infra.queue.enqueue import enqueue, enqueue_many
from infra.queue.errors import (
    InvalidArguments,
    InvalidResult,
    InvalidWorkflow,
    LeaseLost,
    ResultNotKept,
    Snooze,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    UnknownPredecessor,
)
from infra.queue.life import HookedTask, Hooks
from infra.queue.results import Predecessor, result
from infra.queue.successors import OnFailure
from infra.queue.unique import OnConflict, Unique
from infra.queue.workflows import Step, enqueue_batch, enqueue_workflow
from tasks.registry import PermanentError, TaskContext, task
from tasks.threads import ThreadTaskContext

__all__ = [
    "HookedTask",
    "Hooks",
    "InvalidArguments",
    "InvalidResult",
    "InvalidWorkflow",
    "LeaseLost",
    "OnConflict",
    "OnFailure",
    "PermanentError",
    "Predecessor",
    "ResultNotKept",
    "Snooze",
    "Step",
    "TaskCancelled",
    "TaskContext",
    "TaskExpired",
    "TaskFailed",
    "ThreadTaskContext",
    "Unique",
    "UnknownPredecessor",
    "database",
    "enqueue",
    "enqueue_batch",
    "enqueue_many",
    "enqueue_workflow",
    "in_transaction_of",
    "result",
    "rows",
    "run_blocking",
    "task",
]
