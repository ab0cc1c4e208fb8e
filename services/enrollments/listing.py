"""Lists of enrollments and students; enrollments with courses are rendered as JSON."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise import BaseDBAsyncClient
from tortoise.functions import Max

from infra.cache import Page, ResponseCache
from infra.db.replica import ReplicaRouter
from models import Enrollment as EnrollmentRow
from models import EnrollmentTotal, Student
from services.catalogue import courses, queries, read, render
from services.catalogue.render import UrlOf
from services.enrollments.write import Enrollment

_OF_STUDENT = """
    SELECT id, student_email, course_id, enrolled_at FROM enrollments WHERE student_email = $1
    ORDER BY enrolled_at DESC, id DESC LIMIT $2 OFFSET $3
"""


@dataclass(frozen=True)
class StudentSummary:
    """A student as an admin sees it in the list."""

    email: str
    enrollment_count: int
    last_enrolled_at: datetime


async def of_student(
    source: BaseDBAsyncClient, student_email: str, number: int, limit: int
) -> tuple[list[Enrollment], int]:
    """Return one page of a student's enrollments, newest first, and the total."""
    offset = (number - 1) * limit
    rows = await source.execute_query_dict(_OF_STUDENT, [student_email, limit, offset])
    found = [Enrollment(**row) for row in rows]
    if offset == 0 and len(found) < limit:
        return found, len(found)
    student = await Student.get_or_none(email=student_email, using_db=source)
    return found, student.enrollment_count if student else 0


async def of_student_rendered(
    router: ReplicaRouter, cache: ResponseCache, url_of: UrlOf, student_email: str, page: Page
) -> tuple[list[bytes], int]:
    """Return one page of a student's enrollments as JSON, newest first, and the total."""
    found, total = await router.read(
        lambda source: of_student(source, student_email, page.number, page.limit)
    )
    shown = await read.courses(cache, [each.course_id for each in found], url_of)
    # A course may be deleted between the two statements.
    return [
        each.rendered(shown[each.course_id].body) for each in found if each.course_id in shown
    ], total


@dataclass(frozen=True)
class EnrollmentFilters:
    """Which enrollments a listing shows; None: all."""

    course_id: UUID | None = None
    student_email: str | None = None


async def page(
    source: BaseDBAsyncClient, filters: EnrollmentFilters, number: int, limit: int, url_of: UrlOf
) -> tuple[list[bytes], int]:
    """Return one page of the enrollments as JSON, newest first, and the total."""
    chosen = EnrollmentRow.all().using_db(source)
    if filters.course_id is not None:
        chosen = chosen.filter(course_id=filters.course_id)
    if filters.student_email is not None:
        chosen = chosen.filter(student_email=filters.student_email)
    is_of_all = filters == EnrollmentFilters()
    total = await (_total(source, "enrollments") if is_of_all else chosen.count())
    found = await chosen.order_by("-enrolled_at", "-id").offset((number - 1) * limit).limit(limit)
    shown = await queries.courses({each.course_id for each in found}, url_of, source)
    # A course may be deleted between the two statements.
    return [
        render.with_course(_fields_of(each), shown[each.course_id].body)
        for each in found
        if each.course_id in shown
    ], total


def _fields_of(enrollment: EnrollmentRow) -> dict[str, object]:
    # A string: orjson does not serialize asyncpg's UUIDs.
    return {
        "id": str(enrollment.id),
        "student_email": enrollment.student_email,
        "enrolled_at": enrollment.enrolled_at,
    }


async def students_of(
    source: BaseDBAsyncClient, course_id: UUID, number: int, limit: int
) -> tuple[list[str], int]:
    """Return one page of the emails of a course's students, newest first, and the total.

    Raises:
        CourseNotFound: no course has this id.

    """
    await courses.require(course_id, source)
    offset = (number - 1) * limit
    chosen = EnrollmentRow.filter(course_id=course_id).using_db(source)
    found = chosen.order_by("-enrolled_at", "-id").offset(offset).limit(limit)
    emails = [str(email) for email in await found.values_list("student_email", flat=True)]
    if offset == 0 and len(emails) < limit:
        return emails, len(emails)
    return emails, await chosen.count()


async def students(
    source: BaseDBAsyncClient, number: int, limit: int
) -> tuple[list[StudentSummary], int]:
    """Return one page of the students, by email, and the total."""
    found = (
        Student.all().using_db(source).order_by("email").offset((number - 1) * limit).limit(limit)
    )
    counts = {student.email: student.enrollment_count for student in await found}
    latest = await (
        EnrollmentRow.filter(student_email__in=list(counts))
        .using_db(source)
        .annotate(latest=Max("enrolled_at"))
        .group_by("student_email")
        .values_list("student_email", "latest")
    )
    last_enrolled_at = dict(latest)
    summaries = [
        StudentSummary(email, count, last_enrolled_at[email])
        for email, count in counts.items()
        # A student may leave between the two statements.
        if email in last_enrolled_at
    ]
    return summaries, await _total(source, "students")


async def _total(source: BaseDBAsyncClient, of: str) -> int:
    return sum(int(getattr(slot, of)) for slot in await EnrollmentTotal.all().using_db(source))
