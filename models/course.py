"""The catalogue."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7

from models.indexes import SqlIndex

if TYPE_CHECKING:
    from uuid import UUID

    from models.image import ImageVariant
    from models.task import Task


# The constraint ck_courses_difficulty holds the same list.
class Difficulty(StrEnum):
    """How hard a course is."""

    BEGINNER = "Beginner"
    INTERMEDIATE = "Intermediate"
    ADVANCED = "Advanced"


class Course(Model):
    """A course.

    `image_url` is a foreign address, stored as given; an uploaded image is in `variants`, and
    `image_task` is the task that makes it, until it is ready.
    """

    id = fields.UUIDField(primary_key=True, default=uuid7)
    title = fields.CharField(max_length=255)
    description = fields.TextField()
    difficulty = fields.CharEnumField(Difficulty, max_length=16)
    image_url = fields.CharField(max_length=2048, null=True)
    image_task: fields.ForeignKeyNullableRelation[Task] = fields.ForeignKeyField(
        "models.Task", related_name=False, null=True, on_delete=fields.SET_NULL
    )
    created_at = fields.DatetimeField(db_default=Now())
    updated_at = fields.DatetimeField(db_default=Now())

    image_task_id: UUID | None
    variants: fields.ReverseRelation[ImageVariant]

    class Meta:
        """Indexes: newest first, newest first of one difficulty, by title.

        The generated column `search_text` and its indexes are in migrations/sql: Tortoise has no
        generated columns. An index with the difficulty included skips courses of other
        difficulties without reading their rows; one without it is smaller and faster to skip in.
        """

        table = "courses"
        indexes = (
            SqlIndex("ix_courses_newest", "(created_at DESC, id DESC)"),
            SqlIndex("ix_courses_newest_levels", "(created_at DESC, id DESC) INCLUDE (difficulty)"),
            SqlIndex("ix_courses_difficulty_newest", "(difficulty, created_at DESC, id DESC)"),
            SqlIndex("ix_courses_title", "(title, id) INCLUDE (difficulty)"),
            SqlIndex("ix_courses_image_task", "(image_task_id) WHERE image_task_id IS NOT NULL"),
        )
