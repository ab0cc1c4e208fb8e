"""The policy of enrolling: batch, wait, or repeat the response to an earlier request."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from infra.cache import Entry, ResponseCache
from services.catalogue import read
from services.catalogue.render import UrlOf
from services.enrollments import idempotency, write
from services.enrollments.batcher import EnrollmentBatcher
from services.enrollments.idempotency import KeyedRequest, StoredResponse
from services.enrollments.limiter import KeyedLimiter
from services.errors import CourseNotFound, UnknownCourse


@dataclass(frozen=True)
class EnrollmentRequest:
    """A student to enrol in a course; an admin's enrolment goes to the audit log."""

    student_email: str
    course_id: UUID
    is_by_admin: bool = False


class Enroller:
    """Enrols students; one per server process."""

    def __init__(self, cache: ResponseCache, url_of: UrlOf, connections: int) -> None:
        self._cache = cache
        self._url_of = url_of
        self._batcher = EnrollmentBatcher()
        # Limits enrolments with their own transaction: one busy course may use a third of the
        # connections, and each further busy course one more.
        self._limiter = KeyedLimiter(max(1, connections // 3))

    async def enroll(self, wanted: EnrollmentRequest) -> bytes:
        """Enrol a student; return the enrollment as JSON.

        Raises:
            AlreadyEnrolled: the student is in this course.
            UnknownCourse: no course has this id.
            CourseBusy: no slot of the course was free in time.

        """
        course = await self._course(wanted.course_id)
        if wanted.is_by_admin:
            async with self._limiter.hold(wanted.course_id):
                return await _insert(wanted, course)
        enrollment = await self._batcher.enroll(wanted.student_email, wanted.course_id)
        return enrollment.rendered(course.body)

    async def enroll_once(
        self,
        wanted: EnrollmentRequest,
        keyed: KeyedRequest,
        respond: Callable[[bytes], StoredResponse],
    ) -> tuple[StoredResponse, bool]:
        """Enrol a student, or return the response to an earlier request with this key.

        Returns:
            The response, and whether it is an earlier one.

        Raises:
            AlreadyEnrolled, UnknownCourse, CourseBusy: as `enroll` does.
            KeyReused: another request had this key.

        """
        # First: the course of an earlier request may be deleted or busy now.
        if earlier := await idempotency.find(keyed):
            return earlier, True
        course = await self._course(wanted.course_id)

        async def act() -> StoredResponse:
            return respond(await _insert(wanted, course))

        async with self._limiter.hold(wanted.course_id):
            return await idempotency.respond_once(keyed, act)

    async def _course(self, course_id: UUID) -> Entry:
        # Outside any transaction: the cache may need a connection of its own.
        try:
            return await read.course(self._cache, course_id, self._url_of)
        except CourseNotFound:
            raise UnknownCourse from None


async def _insert(wanted: EnrollmentRequest, course: Entry) -> bytes:
    insert = write.insert_recorded if wanted.is_by_admin else write.insert
    enrollment = await insert(wanted.student_email, wanted.course_id)
    return enrollment.rendered(course.body)
