"""Group commit: students who want the same course at the same time are enrolled together.

A statement, a round trip and a commit cost more than a row does. Whoever comes while others of the
course are at it waits for a turn anyway, and then all who wait go at once. The idea is from DeWitt
et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.
"""

import asyncio
from uuid import UUID

from tortoise.exceptions import IntegrityError, OperationalError

from services.enrollments import enroll as enrollments_enroll
from services.enrollments.enroll import Place
from services.enrollments.limiter import POOL_WAIT_SECONDS, KeyedLimiter
from services.errors import AlreadyEnrolled, ServiceError

# Eight share most of what can be shared. More would be answered at once, too, and meanwhile nobody
# else is: what others wait beside a crowd grows with it.
MOST_TOGETHER = 8

_Waiting = tuple[str, asyncio.Future[Place]]


class EnrollmentBatcher:
    """Gathers who comes for a course while others are at it; one group of a course at a time."""

    def __init__(self, patience_seconds: float = POOL_WAIT_SECONDS) -> None:
        self._turns = KeyedLimiter(1, patience_seconds)
        self._gathering: dict[UUID, list[_Waiting]] = {}
        self._at_work: set[asyncio.Task[None]] = set()

    async def enroll(self, student_email: str, course_id: UUID) -> Place:
        """Give the student a place, together with others who want one in this course.

        Raises:
            AlreadyEnrolled, UnknownCourse: as `services.enrollments.enroll` does.
            Crowded: it was not the course's turn in time.

        """
        group = self._gathering.get(course_id)
        if group is None and self._turns.is_free(course_id):
            async with self._turns.of(course_id):
                return await enrollments_enroll.enroll(student_email, course_id)
        if group is None or len(group) >= MOST_TOGETHER:
            group = self._gather(course_id)
        place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        group.append((student_email, place))
        return await place

    def _gather(self, course_id: UUID) -> list[_Waiting]:
        group = self._gathering[course_id] = []
        # Nobody's own task: whoever hangs up takes no one else along.
        work = asyncio.create_task(self._enroll(course_id, group))
        self._at_work.add(work)
        work.add_done_callback(self._at_work.discard)
        return group

    async def _enroll(self, course_id: UUID, group: list[_Waiting]) -> None:
        try:
            async with self._turns.of(course_id):
                self._close(course_id, group)
                await _enroll_together(course_id, group)
        except Exception as error:  # noqa: BLE001  it is theirs who wait
            self._close(course_id, group)
            for _, place in group:
                _tell(place, error)

    def _close(self, course_id: UUID, group: list[_Waiting]) -> None:
        if self._gathering.get(course_id) is group:
            del self._gathering[course_id]


async def _enroll_together(course_id: UUID, group: list[_Waiting]) -> None:
    # Whoever has hung up meanwhile gets no place that they don't know of.
    waiting = [(email, place) for email, place in group if not place.done()]
    if not waiting:
        return
    try:
        places = await enrollments_enroll.enroll_all([email for email, _ in waiting], course_id)
    except (IntegrityError, OperationalError):
        await _enroll_one_by_one(course_id, waiting)
        return
    for (_, place), given in zip(waiting, places, strict=True):
        _tell(place, given or AlreadyEnrolled())
        # One each time round the event loop: others are answered in between.
        await asyncio.sleep(0)


async def _enroll_one_by_one(course_id: UUID, waiting: list[_Waiting]) -> None:
    """Find out whom the database refuses: the others have done nothing wrong."""
    for email, place in waiting:
        try:
            _tell(place, await enrollments_enroll.enroll(email, course_id))
        except (ServiceError, IntegrityError, OperationalError) as error:
            _tell(place, error)


def _tell(place: asyncio.Future[Place], outcome: Place | Exception) -> None:
    """Answer whoever waits for a place, if they still do."""
    if place.done():
        return
    if isinstance(outcome, Place):
        place.set_result(outcome)
    else:
        place.set_exception(outcome)
