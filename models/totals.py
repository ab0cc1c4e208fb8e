"""Counts that triggers keep, so that no listing counts its rows.

PostgreSQL counts by reading every row. A trigger adds each statement's difference instead; for
enrollments in one of several slots, chosen by the connection, so that students do not queue.
"""

from tortoise import Model, fields

from models.course import Difficulty


class CourseTotal(Model):
    """How many courses of a difficulty there are."""

    difficulty = fields.CharEnumField(Difficulty, max_length=16, primary_key=True)
    total = fields.IntField()

    class Meta:
        table = "course_totals"


class EnrollmentTotal(Model):
    """The differences of one slot; the totals are the sums of all slots."""

    slot = fields.IntField(primary_key=True, generated=False)
    enrollments = fields.BigIntField()
    students = fields.BigIntField()

    class Meta:
        table = "enrollment_totals"


class Student(Model):
    """A student who is in at least one course."""

    email = fields.CharField(max_length=320, primary_key=True)
    enrollment_count = fields.IntField()

    class Meta:
        table = "students"
