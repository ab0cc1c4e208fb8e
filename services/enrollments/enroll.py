"""Students and their places in courses."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.functions import Max
from uuid_utils.compat import uuid7

from infra.db.engine import primary
from infra.db.transactions import transaction
from models import Enrollment, EnrollmentTotal, Student
from models.enrollment import FOREIGN_KEY_COURSE, UNIQUE_STUDENT_COURSE
from services.audit import trail
from services.audit.trail import Action
from services.catalogue import courses, queries, render
from services.catalogue.render import UrlOf
from services.errors import (
    AlreadyEnrolled,
    EnrollmentNotFound,
    ServiceError,
    UnknownCourse,
)
from services.tasks import rows

_REFUSALS: dict[str, type[ServiceError]] = {
    UNIQUE_STUDENT_COURSE: AlreadyEnrolled,
    FOREIGN_KEY_COURSE: UnknownCourse,
}
# One statement, so one round trip; of one text, so the connection prepares it once.
_ENROLL = """
    INSERT INTO enrollments (id, student_email, course_id) VALUES ($1, $2, $3)
    RETURNING enrolled_at
"""
# In the order of their emails, so that two statements can't wait for each other.
_ENROLL_ALL = """
    INSERT INTO enrollments (id, student_email, course_id)
    SELECT id, student_email, $3 FROM unnest($1::uuid[], $2::text[]) AS wanted (id, student_email)
    ORDER BY student_email, id
    ON CONFLICT (student_email, course_id) DO NOTHING
    RETURNING id, enrolled_at
"""
_OF_STUDENT = """
    SELECT id, course_id, enrolled_at FROM enrollments WHERE student_email = $1
    ORDER BY enrolled_at DESC, id DESC LIMIT $2 OFFSET $3
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A student's place in a course."""

    id: UUID
    course_id: UUID
    enrolled_at: datetime


@dataclass(frozen=True)
class StudentSummary:
    """What an admin sees of a student."""

    email: str
    enrollment_count: int
    last_enrolled_at: datetime


async def enroll(student_email: str, course_id: UUID) -> Place:
    """Give the student a place; the database's constraints decide, nothing is checked before.

    Raises:
        AlreadyEnrolled: the student has a place in this course.
        UnknownCourse: there is no such course.

    """
    enrollment_id = uuid7()
    try:
        row = await primary().execute_insert(_ENROLL, [enrollment_id, student_email, course_id])
    except IntegrityError as error:
        refusal = _REFUSALS.get(_constraint(error))
        if refusal is None:
            raise
        raise refusal from None
    return Place(enrollment_id, course_id, row["enrolled_at"])


async def enroll_all(student_emails: list[str], course_id: UUID) -> list[Place | None]:
    """Give students places in a course, in one statement; None is for whoever had one before.

    Raises:
        IntegrityError, OperationalError: the database refuses one of them, so nobody has a place.

    """
    ids = [uuid7() for _ in student_emails]
    given = await rows(_ENROLL_ALL, ids, student_emails, course_id)
    enrolled_at = {row["id"]: row["enrolled_at"] for row in given}
    return [
        Place(each, course_id, enrolled_at[each]) if each in enrolled_at else None for each in ids
    ]


async def enroll_for(student_email: str, course_id: UUID) -> Place:
    """Give a student a place as an admin does: it is noted.

    Raises:
        AlreadyEnrolled, UnknownCourse: as `enroll` does.

    """
    async with transaction():
        place = await enroll(student_email, course_id)
        details = {trail.STUDENT: student_email, "course": str(course_id)}
        await trail.record(Action.CREATE_ENROLLMENT, place.id, details)
    return place


def _constraint(error: IntegrityError) -> str:
    return getattr(error.__cause__, "constraint_name", None) or ""


async def of_student(
    source: BaseDBAsyncClient, student_email: str, number: int, limit: int
) -> tuple[list[Place], int]:
    """Return one page of a student's places, newest first, and how many there are."""
    offset = (number - 1) * limit
    found = await source.execute_query_dict(_OF_STUDENT, [student_email, limit, offset])
    places = [Place(**row) for row in found]
    if offset == 0 and len(places) < limit:
        return places, len(places)
    student = await Student.get_or_none(email=student_email, using_db=source)
    return places, student.enrollment_count if student else 0


async def students_of(
    source: BaseDBAsyncClient, course_id: UUID, number: int, limit: int
) -> tuple[list[str], int]:
    """Return one page of the emails of a course's students, newest first, and how many there are.

    Raises:
        CourseNotFound: there is no such course.

    """
    await courses.require(course_id, source)
    offset = (number - 1) * limit
    chosen = Enrollment.filter(course_id=course_id).using_db(source)
    found = chosen.order_by("-enrolled_at", "-id").offset(offset).limit(limit)
    emails = [str(email) for email in await found.values_list("student_email", flat=True)]
    if offset == 0 and len(emails) < limit:
        return emails, len(emails)
    return emails, await chosen.count()


async def page(  # noqa: PLR0913  the page and its two filters
    source: BaseDBAsyncClient,
    number: int,
    limit: int,
    url_of: UrlOf,
    *,
    course_id: UUID | None = None,
    student_email: str | None = None,
) -> tuple[list[bytes], int]:
    """Return one page of all enrollments as JSON, newest first, and how many there are."""
    chosen = Enrollment.all().using_db(source)
    if course_id is not None:
        chosen = chosen.filter(course_id=course_id)
    if student_email is not None:
        chosen = chosen.filter(student_email=student_email)
    everything = course_id is None and student_email is None
    total = await (_total(source, "enrollments") if everything else chosen.count())
    found = await chosen.order_by("-enrolled_at", "-id").offset((number - 1) * limit).limit(limit)
    shown = await queries.courses({each.course_id for each in found}, url_of, source)
    # Without those that a deletion of their course has removed between the two statements.
    return [
        render.with_course(_fields_of(each), shown[each.course_id].body)
        for each in found
        if each.course_id in shown
    ], total


def _fields_of(enrollment: Enrollment) -> dict[str, object]:
    # A string: orjson does not know asyncpg's UUIDs.
    return {
        "id": str(enrollment.id),
        "student_email": enrollment.student_email,
        "enrolled_at": enrollment.enrolled_at,
    }


async def students(
    source: BaseDBAsyncClient, number: int, limit: int
) -> tuple[list[StudentSummary], int]:
    """Return one page of the students, by email, and how many there are."""
    found = (
        Student.all().using_db(source).order_by("email").offset((number - 1) * limit).limit(limit)
    )
    counts = {student.email: student.enrollment_count for student in await found}
    latest = await (
        Enrollment.filter(student_email__in=list(counts))
        .using_db(source)
        .annotate(latest=Max("enrolled_at"))
        .group_by("student_email")
        .values_list("student_email", "latest")
    )
    last_enrolled_at = dict(latest)
    summaries = [
        StudentSummary(email, count, last_enrolled_at[email])
        for email, count in counts.items()
        # Whoever left between the two queries is not shown.
        if email in last_enrolled_at
    ]
    return summaries, await _total(source, "students")


async def _total(source: BaseDBAsyncClient, of: str) -> int:
    return sum(int(getattr(slot, of)) for slot in await EnrollmentTotal.all().using_db(source))


async def drop(course_id: UUID, student_email: str) -> None:
    """Take the student's place in a course away.

    Raises:
        CourseNotFound: there is no such course.
        EnrollmentNotFound: the student is not in it.

    """
    async with transaction():
        if not await Enrollment.filter(course_id=course_id, student_email=student_email).delete():
            await courses.require(course_id)
            raise EnrollmentNotFound
        await trail.record(Action.DROP_STUDENT, course_id, {trail.STUDENT: student_email})


async def delete(enrollment_id: UUID) -> None:
    """Delete an enrollment.

    Raises:
        EnrollmentNotFound: there is none of this id.

    """
    async with transaction():
        if not await Enrollment.filter(id=enrollment_id).delete():
            raise EnrollmentNotFound
        await trail.record(Action.DELETE_ENROLLMENT, enrollment_id)
