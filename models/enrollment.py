"""Enrolments of students in courses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tortoise import Model, fields
from tortoise.fields.db_defaults import Now
from uuid_utils.compat import uuid7

from models.indexes import SqlIndex

if TYPE_CHECKING:
    from uuid import UUID

    from models.course import Course

UNIQUE_STUDENT_COURSE = "uq_enrollments_student_email_course_id"
FOREIGN_KEY_COURSE = "enrollments_course_id_fkey"


class Enrollment(Model):
    """A student in a course; constraints refuse a bad row, not the code."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    student_email = fields.CharField(max_length=320)
    course: fields.ForeignKeyRelation[Course] = fields.ForeignKeyField(
        "models.Course", related_name="enrollments", on_delete=fields.CASCADE
    )
    enrolled_at = fields.DatetimeField(db_default=Now())
    created_at = fields.DatetimeField(db_default=Now())
    updated_at = fields.DatetimeField(db_default=Now())

    course_id: UUID

    class Meta:
        """Indexes: by student (also the duplicate check), by course, newest first."""

        table = "enrollments"
        indexes = (
            SqlIndex(UNIQUE_STUDENT_COURSE, "(student_email, course_id)", unique=True),
            SqlIndex("ix_enrollments_course_newest", "(course_id, enrolled_at DESC, id DESC)"),
            SqlIndex("ix_enrollments_newest", "(enrolled_at DESC, id DESC)"),
        )
