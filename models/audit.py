"""The audit log: rows are added, and neither changed nor removed for a year."""

from enum import StrEnum
from typing import Any

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7

from models.indexes import SqlIndex


# The constraint ck_audit_log_outcome holds the same list.
class Outcome(StrEnum):
    """Whether the act was done or refused."""

    DONE = "done"
    REFUSED = "refused"


class AuditEntry(Model):
    """One act, or `count` refusals of one kind within a short time.

    `actor` is a username, the claimed one if a login was refused, or `operator:<login>` for the
    command line; None without a login. A trigger refuses to change or remove a row.
    """

    id = fields.UUIDField(primary_key=True, default=uuid7)
    at = fields.DatetimeField(db_default=Now())
    action = fields.CharField(max_length=64)
    outcome = fields.CharEnumField(Outcome, max_length=16)
    actor = fields.CharField(max_length=255, null=True)
    actor_id = fields.UUIDField(null=True)
    target = fields.CharField(max_length=512, null=True)
    address = fields.CharField(max_length=64, null=True)
    request_id = fields.CharField(max_length=128, null=True)
    count = fields.IntField(db_default=1)
    details: dict[str, Any] | None = fields.JSONField(null=True)

    class Meta:
        """Indexes: newest, of an actor, of an action."""

        table = "audit_log"
        indexes = (
            SqlIndex("ix_audit_log_newest", "(at DESC, id DESC)"),
            SqlIndex("ix_audit_log_actor", "(actor, at DESC, id DESC)"),
            SqlIndex("ix_audit_log_action", "(action, at DESC, id DESC)"),
        )
