"""The writes of enrollments; the database's constraints refuse invalid ones."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError
from uuid_utils.compat import uuid7

from infra.db.engine import primary
from infra.db.sql import rows
from infra.db.transactions import transaction
from models import enrollment as table
from services.audit import trail
from services.audit.trail import Action
from services.catalogue import courses, render
from services.errors import AlreadyEnrolled, EnrollmentNotFound, ServiceError, UnknownCourse

_REFUSALS: dict[str, type[ServiceError]] = {
    table.UNIQUE_STUDENT_COURSE: AlreadyEnrolled,
    table.FOREIGN_KEY_COURSE: UnknownCourse,
}
# One statement is one round trip; a constant text is prepared once per connection.
_INSERT = """
    INSERT INTO enrollments (id, student_email, course_id) VALUES ($1, $2, $3)
    RETURNING enrolled_at
"""
# Ordered by email, so that two statements cannot deadlock.
_INSERT_ALL = """
    INSERT INTO enrollments (id, student_email, course_id)
    SELECT id, student_email, $3 FROM unnest($1::uuid[], $2::text[]) AS wanted (id, student_email)
    ORDER BY student_email, id
    ON CONFLICT (student_email, course_id) DO NOTHING
    RETURNING id, enrolled_at
"""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A student in a course."""

    id: UUID
    student_email: str
    course_id: UUID
    enrolled_at: datetime

    def rendered(self, course: bytes) -> bytes:
        """Return the enrollment as JSON with its rendered course."""
        # Strings: orjson does not serialize asyncpg's UUIDs.
        fields = {
            "id": str(self.id),
            "student_email": self.student_email,
            "course_id": str(self.course_id),
            "enrolled_at": self.enrolled_at,
        }
        return render.with_course(fields, course)


async def insert(student_email: str, course_id: UUID) -> Enrollment:
    """Enrol the student.

    Raises:
        AlreadyEnrolled: the student is in this course.
        UnknownCourse: no course has this id.

    """
    enrollment_id = uuid7()
    try:
        row = await primary().execute_insert(_INSERT, [enrollment_id, student_email, course_id])
    except IntegrityError as error:
        refusal = _REFUSALS.get(_constraint(error))
        if refusal is None:
            raise
        raise refusal from None
    return Enrollment(enrollment_id, student_email, course_id, row["enrolled_at"])


async def insert_all(student_emails: list[str], course_id: UUID) -> list[Enrollment | None]:
    """Enrol students in a course by one statement; None: the student is already in it.

    Raises:
        IntegrityError, OperationalError: the statement failed, so no student is enrolled.

    """
    wanted = [(uuid7(), email) for email in student_emails]
    added = await rows(_INSERT_ALL, [each for each, _ in wanted], student_emails, course_id)
    enrolled_at = {row["id"]: row["enrolled_at"] for row in added}
    return [
        Enrollment(each, email, course_id, enrolled_at[each]) if each in enrolled_at else None
        for each, email in wanted
    ]


async def insert_recorded(student_email: str, course_id: UUID) -> Enrollment:
    """Enrol the student and record it in the audit log, for enrolments by an admin.

    Raises:
        AlreadyEnrolled, UnknownCourse: as `insert` does.

    """
    async with transaction():
        enrollment = await insert(student_email, course_id)
        details = {trail.STUDENT: student_email, "course": str(course_id)}
        await trail.record(Action.CREATE_ENROLLMENT, enrollment.id, details)
    return enrollment


def _constraint(error: IntegrityError) -> str:
    return getattr(error.__cause__, "constraint_name", None) or ""


async def drop(course_id: UUID, student_email: str) -> None:
    """Remove the student from the course.

    Raises:
        CourseNotFound: no course has this id.
        EnrollmentNotFound: the student is not in it.

    """
    chosen = table.Enrollment.filter(course_id=course_id, student_email=student_email)
    async with transaction():
        if not await chosen.delete():
            await courses.require(course_id)
            raise EnrollmentNotFound
        await trail.record(Action.DROP_STUDENT, course_id, {trail.STUDENT: student_email})


async def delete(enrollment_id: UUID) -> None:
    """Delete an enrollment.

    Raises:
        EnrollmentNotFound: no enrollment has this id.

    """
    async with transaction():
        if not await table.Enrollment.filter(id=enrollment_id).delete():
            raise EnrollmentNotFound
        await trail.record(Action.DELETE_ENROLLMENT, enrollment_id)
