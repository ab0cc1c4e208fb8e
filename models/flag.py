"""Feature flags: their definitions, and when each was last evaluated."""

from datetime import datetime
from typing import Any

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now


class FeatureFlag(Model):
    """The definition of a flag, in Unleash's feature JSON; a trigger sets version and time."""

    name = fields.CharField(max_length=100, primary_key=True)
    definition: dict[str, Any] = fields.JSONField()
    version = fields.BigIntField(db_default=0)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "feature_flags"


class FeatureFlagUse(Model):
    """When a flag was first declared by a running process, and when it was last evaluated."""

    name = fields.CharField(max_length=100, primary_key=True)
    declared_at = fields.DatetimeField(db_default=Now())
    last_evaluated_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "feature_flag_uses"
