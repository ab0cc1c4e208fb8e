"""The write seam: the one way to change what the catalogue shows of a course.

It holds the transaction, the audit record and what must follow the commit.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from infra.cache import Cache
from infra.db.transactions import transaction
from models import Course
from services.audit import trail
from services.audit.trail import Action
from services.catalogue import queries, read
from services.catalogue.queries import Snapshot
from services.errors import CourseChanged, CourseNotFound

# Evaluated on the locked course; a change takes place only if it is true.
Condition = Callable[[Snapshot], bool]


class Change:
    """The change of one course in the running transaction.

    Every function that writes rows of the catalogue takes one, so none can run outside the seam.
    """

    def __init__(self, course_id: UUID) -> None:
        self.course_id = course_id
        # Titles and descriptions before and after, if the change affects which searches match.
        self.texts: set[str] = set()

    async def lock(self, condition: Condition | None = None) -> Course:
        """Lock the course until the end of the transaction, so that the condition stays true.

        Raises:
            CourseNotFound: no course has this id.
            CourseChanged: the condition is false.

        """
        course = await Course.select_for_update().get_or_none(id=self.course_id)
        if course is None:
            raise CourseNotFound
        if condition is not None and not condition(await self.snapshot()):
            raise CourseChanged
        return course

    async def snapshot(self) -> Snapshot:
        """Read the course as the transaction leaves it."""
        return await queries.snapshot(self.course_id)


@asynccontextmanager
async def change(
    cache: Cache, course_id: UUID, action: Action | None = None
) -> AsyncIterator[Change]:
    """Change a course within the block: all of it commits, or nothing.

    The audit log records the action, if it is a user's. The commit and what follows it are shielded
    from cancellation. Within another transaction the block is a part of that one, and what follows
    the commit waits for the outer commit.
    """
    async with transaction():
        changing = Change(course_id)
        yield changing
        if action is not None:
            await trail.record(action, course_id)
        await _announce_after_commit(cache, changing)


async def announce_image_task(cache: Cache, course_id: UUID) -> None:
    """Have readers learn of a change of the task that makes a course's image, after the commit."""
    await _announce_after_commit(cache, Change(course_id))


async def _announce_after_commit(cache: Cache, change: Change) -> None:
    """Have readers learn of the change as soon as the running transaction commits."""
    if change.texts:
        await read.announce(cache, change.course_id, *change.texts)
    else:
        await read.announce_image(cache, change.course_id)
