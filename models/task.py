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
    queue = fields.CharField(max_length=64, null=True)
    priority = fields.SmallIntField(db_default=0)
    dedupe_key = fields.CharField(max_length=255, null=True)
    state = fields.CharEnumField(TaskState, max_length=16, db_default=TaskState.QUEUED.value)
    cancel_requested = fields.BooleanField(db_default=False)
    progress = fields.SmallIntField(db_default=0)
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
    created_at = fields.DatetimeField(db_default=Now())
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        """Indexes: what the relay, the sweeper, the pruning and the operator's list ask for."""

        table = "tasks"
        indexes = (
            SqlIndex(
                "ix_tasks_due",
                "(name, priority DESC, available_at) WHERE state = 'queued'",
                fields=["name", "priority", "available_at"],
            ),
            SqlIndex(
                "ix_tasks_lease",
                "(lease_until) WHERE state IN ('queued', 'running')",
                fields=["lease_until"],
            ),
            SqlIndex(
                "uq_tasks_dedupe_key",
                "(dedupe_key) WHERE state IN ('queued', 'running')",
                fields=["dedupe_key"],
                unique=True,
            ),
            SqlIndex(
                "ix_tasks_finished",
                "(finished_at) WHERE finished_at IS NOT NULL",
                fields=["finished_at"],
            ),
            # Every process queries by it twice a second (services/images/removals.py).
            SqlIndex(
                "ix_tasks_images_removed",
                "(created_at DESC) WHERE name = 'images.remove'",
                fields=["created_at"],
            ),
            SqlIndex("ix_tasks_newest", "(created_at DESC, id DESC)", fields=["created_at", "id"]),
            SqlIndex(
                "ix_tasks_state_newest",
                "(state, created_at DESC, id DESC)",
                fields=["state", "created_at", "id"],
            ),
        )


class TaskSchedule(Model):
    """A kind of task that is enqueued once a slot, and the start of the last slot that was served.

    It can't be read from `tasks`: rows are pruned, and an operator may drop them.
    """

    name = fields.CharField(max_length=128, primary_key=True)
    last_slot = fields.DatetimeField()

    class Meta:
        """Table name."""

        table = "task_schedules"
