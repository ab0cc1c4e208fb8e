"""The durable tasks: this table has the truth, the broker carries messages."""

from enum import StrEnum
from typing import Any

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now, SqlDefault
from uuid_utils.compat import uuid7

from models.indexes import SqlIndex


# The constraint ck_tasks_state holds the same list.
class TaskState(StrEnum):
    """`queued` and `running` move on; the others are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Task(Model):
    """A piece of slow work, inserted in the caller's transaction.

    The relay fills in `queue` and `max_attempts` from the task's registration, so a caller needs
    only its name. By `lease_until` a published row must be claimed, and a running one must renew
    its lease; otherwise it is taken for lost.
    """

    id = fields.UUIDField(primary_key=True, default=uuid7)
    name = fields.CharField(max_length=128)
    args: dict[str, Any] = fields.JSONField()
    # That of the kind whose arguments these are.
    version = fields.SmallIntField(db_default=1)
    queue = fields.CharField(max_length=64, null=True)
    priority = fields.SmallIntField(db_default=0)
    dedupe_key = fields.CharField(max_length=255, null=True)
    state = fields.CharEnumField(TaskState, max_length=16, db_default=TaskState.QUEUED.value)
    cancel_requested = fields.BooleanField(db_default=False)
    progress = fields.SmallIntField(db_default=0)
    # Where the next attempt goes on; a task without one starts again.
    checkpoint: dict[str, Any] | None = fields.JSONField(null=True)
    attempts = fields.IntField(db_default=0)
    max_attempts = fields.IntField(null=True)
    # Not the transaction's start: the rows of a transaction have different times, soon before they
    # become visible.
    available_at = fields.DatetimeField(db_default=SqlDefault("clock_timestamp()"))
    published_at = fields.DatetimeField(null=True)
    lease_until = fields.DatetimeField(null=True)
    worker = fields.CharField(max_length=255, null=True)
    error = fields.TextField(null=True)
    traceback = fields.TextField(null=True)
    request_id = fields.CharField(max_length=128, null=True)
    # The JSON that the task returned, which its successors get.
    result: Any = fields.JSONField(null=True)
    # Its failed attempts, the latest last: attempt, at, worker, error, traceback.
    errors: list[dict[str, Any]] | None = fields.JSONField(null=True)
    # W3C `traceparent` of the span that enqueued it, if that was traced.
    trace_context = fields.CharField(max_length=55, null=True)
    # The slot of its queue that a running task has, if the queue's concurrency is limited.
    queue_slot = fields.SmallIntField(null=True)
    # Of a key so many tasks run at a time as their kind allows. A running one has a slot.
    concurrency_key = fields.CharField(max_length=255, null=True)
    key_slot = fields.SmallIntField(null=True)
    # When a task is due that waits for its key; `available_at` is infinity meanwhile.
    due_at = fields.DatetimeField(null=True)
    # No attempt starts from then on.
    start_before = fields.DatetimeField(null=True)
    # The number of its edges that are not met; `available_at` is infinity until it is 0.
    waits_for = fields.IntField(db_default=0)
    # Whether a relay has to tell the successors of its end.
    is_awaited = fields.BooleanField(db_default=False)
    workflow_id = fields.UUIDField(null=True)
    created_at = fields.DatetimeField(db_default=Now())
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        """Indexes: what the relay, the sweeper, the pruning and the operator's list ask for."""

        table = "tasks"
        indexes = (
            SqlIndex("ix_tasks_due", "(name, priority DESC, available_at) WHERE state = 'queued'"),
            SqlIndex("ix_tasks_lease", "(lease_until) WHERE state IN ('queued', 'running')"),
            SqlIndex(
                "uq_tasks_dedupe_key",
                "(dedupe_key) WHERE state IN ('queued', 'running')",
                unique=True,
            ),
            SqlIndex(
                "uq_tasks_queue_slot",
                "(queue, queue_slot) WHERE state = 'running' AND queue_slot IS NOT NULL",
                unique=True,
            ),
            SqlIndex(
                "uq_tasks_key_slot",
                "(concurrency_key, key_slot) WHERE state = 'running' AND key_slot IS NOT NULL",
                unique=True,
            ),
            SqlIndex(
                "ix_tasks_key",
                "(concurrency_key, due_at) WHERE state = 'queued' AND concurrency_key IS NOT NULL",
            ),
            SqlIndex("ix_tasks_line", "(due_at) WHERE state = 'queued' AND due_at IS NOT NULL"),
            SqlIndex(
                "ix_tasks_start_before",
                "(start_before) WHERE state = 'queued' AND start_before IS NOT NULL",
            ),
            SqlIndex(
                "ix_tasks_awaited", "(finished_at) WHERE is_awaited AND finished_at IS NOT NULL"
            ),
            SqlIndex("ix_tasks_workflow", "(workflow_id) WHERE workflow_id IS NOT NULL"),
            SqlIndex("ix_tasks_finished", "(finished_at) WHERE finished_at IS NOT NULL"),
            # Every process queries by it twice a second (services/images/removals.py).
            SqlIndex("ix_tasks_images_removed", "(created_at DESC) WHERE name = 'images.remove'"),
            SqlIndex("ix_tasks_newest", "(created_at DESC, id DESC)"),
            SqlIndex("ix_tasks_state_newest", "(state, created_at DESC, id DESC)"),
        )


class TaskEdge(Model):
    """A task, the child, waits for another one, the parent.

    An edge is met when the parent has succeeded, or has ended and the child runs also on
    failure. There are no foreign keys: pruning tasks would pay for them.
    """

    id = fields.BigIntField(primary_key=True)
    parent_id = fields.UUIDField()
    child_id = fields.UUIDField()
    # The child's name for the parent.
    name = fields.CharField(max_length=128)
    runs_on_failure = fields.BooleanField()
    is_met = fields.BooleanField(db_default=False)

    class Meta:
        table = "task_edges"
        indexes = (
            SqlIndex("ix_task_edges_parent", "(parent_id)"),
            SqlIndex("uq_task_edges_child", "(child_id, name)", unique=True),
        )


class TaskDedupeKey(Model):
    """A dedupe key that is held for a period, also after the end of the task that has it."""

    key = fields.CharField(max_length=255, primary_key=True)
    task_id = fields.UUIDField()
    held_until = fields.DatetimeField()

    class Meta:
        table = "task_dedupe_keys"
        indexes = (SqlIndex("ix_task_dedupe_keys_held_until", "(held_until)"),)


class TaskRetention(Model):
    """A kind of task whose ended tasks have a retention of their own.

    Those that had ended before `pruned_until` are deleted, so no pruning reads them again.
    """

    name = fields.CharField(max_length=128, primary_key=True)
    pruned_until = fields.DatetimeField()

    class Meta:
        table = "task_retentions"


class TaskSchedule(Model):
    """A kind of task that is enqueued once a slot, and the start of the last slot that was served.

    It can't be read from `tasks`: rows are pruned, and an operator may drop them. Timings are texts
    such as `every 3600` or `0 6 * * mon Pacific/Auckland`.
    """

    name = fields.CharField(max_length=128, primary_key=True)
    # The time from which slots count, if that is later.
    last_slot = fields.DatetimeField()
    # The timing in the code of the release that started last.
    declared = fields.CharField(max_length=255, null=True)
    # What an operator has set instead.
    timing = fields.CharField(max_length=255, null=True)
    paused_at = fields.DatetimeField(null=True)

    class Meta:
        table = "task_schedules"


class TaskQueue(Model):
    """What operators have set for a queue; one without a row is not paused and has no limits.

    The relays publish none of its tasks while it is paused, and no claim takes one. Of a queue with
    a rate, a claim takes a token from the bucket that this row is.
    """

    name = fields.CharField(max_length=64, primary_key=True)
    paused_at = fields.DatetimeField(null=True)
    # When the pause ends by itself.
    resume_at = fields.DatetimeField(null=True)
    # The most tasks that run at a time, on all workers.
    concurrency = fields.SmallIntField(null=True)
    # So many tasks start in so many seconds, and at most `burst` of them at once.
    rate = fields.IntField(null=True)
    rate_seconds = fields.IntField(null=True)
    burst = fields.IntField(null=True)
    tokens = fields.FloatField(null=True)
    # When `tokens` was right.
    refilled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "task_queues"
