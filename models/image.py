"""Images of courses: staged uploads, and variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from uuid import UUID

    from models.course import Course


class Upload(Model):
    """Staged bytes: durable when the upload is answered, deleted when the variants are stored."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    course: fields.ForeignKeyRelation[Course] = fields.ForeignKeyField(
        "models.Course", related_name="uploads", on_delete=fields.CASCADE
    )
    data = fields.BinaryField()
    created_at = fields.DatetimeField(db_default=Now())

    course_id: UUID

    class Meta:
        table = "uploads"


class ImageVariant(Model):
    """One size of a course's image: an object of the bucket under `key`."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    course: fields.ForeignKeyRelation[Course] = fields.ForeignKeyField(
        "models.Course", related_name="variants", on_delete=fields.CASCADE
    )
    width = fields.IntField()
    height = fields.IntField()
    format = fields.CharField(max_length=16)
    bytes = fields.IntField()
    key = fields.CharField(max_length=255)

    class Meta:
        """One variant a width and format."""

        table = "image_variants"
        unique_together = (("course", "width", "format"),)
        ordering = ("-width",)
