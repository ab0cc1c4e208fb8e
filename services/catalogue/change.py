"""The write seam: the one way to change a course as the catalogue shows it.

It makes the transaction, the audit record and the follow-ups of the commit.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from infra.cache import Cache
from infra.db.transactions import after_commit, transaction
from infra.queue.enqueue import enqueue
from models import Course
from services.audit import trail
from services.audit.trail import Action
from services.catalogue import feed, queries
from services.catalogue.queries import Snapshot
from services.errors import CourseChanged, CourseNotFound
from services.task_names import TaskName

# Evaluated on the locked course; the change is made only if it is true.
Condition = Callable[[Snapshot], bool]


class Change:
    """The change of one course in the running transaction.

    Every function that writes rows of the catalogue has it as an argument, so none can run outside
    the seam.
    """

    def __init__(self, course_id: UUID) -> None:
        self.course_id = course_id

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
        """Read the course in the transaction, with its writes so far."""
        return await queries.snapshot(self.course_id)


@asynccontextmanager
async def change(
    cache: Cache, course_id: UUID, action: Action | None = None
) -> AsyncIterator[Change]:
    """Change a course within the block: all of it commits, or nothing.

    The audit log records the action, if there is one. The commit and its follow-ups are shielded
    from cancellation. Within another transaction the block joins that one, and the follow-ups run
    after the outer commit.
    """
    async with transaction():
        changing = Change(course_id)
        yield changing
        if action is not None:
            await trail.record(action, course_id)
        await publish_after_commit(cache)


async def enqueue_warming() -> None:
    """Enqueue the task that fills invalidated entries before clients read them."""
    await enqueue(TaskName.WARM_CACHE, {}, dedupe_key=TaskName.WARM_CACHE)


async def publish_after_commit(cache: Cache) -> None:
    """Make this instance's readers see the running transaction as soon as it commits."""
    await enqueue_warming()
    # Last: it locks out the commits of all other catalogue writers until this one commits.
    if changes := await feed.running_changes():
        after_commit(lambda: cache.publish(changes))
