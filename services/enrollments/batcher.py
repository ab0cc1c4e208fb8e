"""Batches of enrolments: students who enrol in one course at the same time share a statement.

A statement, a round trip and a commit cost more than a row. While a batch of a course runs, further
requests for it wait, and one statement then inserts them. This is group commit, of DeWitt et al.,
"Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.
"""

import asyncio
from uuid import UUID

from tortoise.exceptions import IntegrityError, OperationalError

from services.enrollments import write
from services.enrollments.limiter import WAIT_SECONDS, KeyedLimiter
from services.enrollments.write import Enrollment
from services.errors import AlreadyEnrolled, ServiceError

# So many share most of the cost. A larger batch would delay requests for other courses longer.
MOST_TOGETHER = 8

_Waiting = tuple[str, asyncio.Future[Enrollment]]


class EnrollmentBatcher:
    """Collects requests for a course while a batch of it runs; one batch per course at a time."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._limiter = KeyedLimiter(1, wait_seconds)
        self._open: dict[UUID, list[_Waiting]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def enroll(self, student_email: str, course_id: UUID) -> Enrollment:
        """Enrol the student, together with others who wait for this course.

        Raises:
            AlreadyEnrolled, UnknownCourse: as `services.enrollments.write.insert` does.
            CourseBusy: no slot of the course was free in time.

        """
        batch = self._open.get(course_id)
        if batch is None and self._limiter.is_free(course_id):
            async with self._limiter.hold(course_id):
                return await write.insert(student_email, course_id)
        if batch is None or len(batch) >= MOST_TOGETHER:
            batch = self._start(course_id)
        enrolled: asyncio.Future[Enrollment] = asyncio.get_running_loop().create_future()
        batch.append((student_email, enrolled))
        return await enrolled

    def _start(self, course_id: UUID) -> list[_Waiting]:
        batch = self._open[course_id] = []
        # Own task, so that one client's disconnect cannot cancel the batch.
        work = asyncio.create_task(self._run(course_id, batch))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        return batch

    async def _run(self, course_id: UUID, batch: list[_Waiting]) -> None:
        try:
            async with self._limiter.hold(course_id):
                self._close(course_id, batch)
                await _insert_all(course_id, batch)
        except Exception as error:  # noqa: BLE001  the waiting requests raise it
            self._close(course_id, batch)
            for _, enrolled in batch:
                _resolve(enrolled, error)

    def _close(self, course_id: UUID, batch: list[_Waiting]) -> None:
        if self._open.get(course_id) is batch:
            del self._open[course_id]


async def _insert_all(course_id: UUID, batch: list[_Waiting]) -> None:
    # A client that has disconnected is not enrolled: it would get no response.
    waiting = [(email, enrolled) for email, enrolled in batch if not enrolled.done()]
    if not waiting:
        return
    try:
        added = await write.insert_all([email for email, _ in waiting], course_id)
    except (IntegrityError, OperationalError):
        await _insert_one_by_one(course_id, waiting)
    else:
        for (_, enrolled), enrollment in zip(waiting, added, strict=True):
            _resolve(enrolled, enrollment or AlreadyEnrolled())
            # One response per iteration of the event loop, so that other requests run in between.
            await asyncio.sleep(0)


async def _insert_one_by_one(course_id: UUID, waiting: list[_Waiting]) -> None:
    """Insert each on its own after a refused batch, so that only the refused one fails."""
    for email, enrolled in waiting:
        try:
            _resolve(enrolled, await write.insert(email, course_id))
        except (ServiceError, IntegrityError, OperationalError) as error:
            _resolve(enrolled, error)


def _resolve(enrolled: asyncio.Future[Enrollment], outcome: Enrollment | Exception) -> None:
    """Set the outcome of a request, unless its client has disconnected."""
    if enrolled.done():
        return
    if isinstance(outcome, Enrollment):
        enrolled.set_result(outcome)
    else:
        enrolled.set_exception(outcome)
