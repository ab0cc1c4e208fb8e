"""The durable queue for programs that have tasks of their own (docs/queue-quickstart.md)."""

from infra.db.borrowed import in_transaction_of, run_blocking
from infra.db.sql import rows
from infra.queue.enqueue import enqueue, enqueue_many
from infra.queue.errors import (
    InvalidArguments,
    InvalidWorkflow,
    LeaseLost,
    Snooze,
    UnknownPredecessor,
)
from infra.queue.life import HookedTask, Hooks
from infra.queue.results import Predecessor
from infra.queue.successors import OnFailure
from infra.queue.unique import OnConflict, Unique
from infra.queue.workflows import Step, enqueue_batch, enqueue_workflow
from tasks.registry import PermanentError, TaskContext, task
from tasks.threads import ThreadTaskContext

__all__ = [
    "HookedTask",
    "Hooks",
    "InvalidArguments",
    "InvalidWorkflow",
    "LeaseLost",
    "OnConflict",
    "OnFailure",
    "PermanentError",
    "Predecessor",
    "Snooze",
    "Step",
    "TaskContext",
    "ThreadTaskContext",
    "Unique",
    "UnknownPredecessor",
    "enqueue",
    "enqueue_batch",
    "enqueue_many",
    "enqueue_workflow",
    "in_transaction_of",
    "rows",
    "run_blocking",
    "task",
]
