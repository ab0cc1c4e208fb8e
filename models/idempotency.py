"""Responses to requests with an Idempotency-Key."""

from typing import Any

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now

from models.indexes import SqlIndex


class IdempotentResponse(Model):
    """A response that is repeated for the same key; inserted in the transaction of its effect.

    `digest` is the SHA-256 of operation, caller and key, `fingerprint` that of the request's
    content: 64 hexadecimal digits each. A row without a response is not committed yet.
    """

    digest = fields.CharField(max_length=64, primary_key=True)
    fingerprint = fields.CharField(max_length=64)
    status = fields.SmallIntField(null=True)
    headers: dict[str, Any] | None = fields.JSONField(null=True)
    body = fields.BinaryField(null=True)
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        """Index: what pruning asks for."""

        table = "idempotent_responses"
        indexes = (SqlIndex("ix_idempotent_responses_created", "(created_at)"),)
