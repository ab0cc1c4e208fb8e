"""Keeping the cache true and warm."""

from uuid import UUID

from services import answers
from services.tasks import TaskName
from tasks.registry import TaskContext, task


@task(TaskName.REFRESH_CACHE, queue="cache", max_attempts=12, timeout=30)
async def refresh(context: TaskContext, courses: list[str]) -> None:
    """Announce changes of courses again: whoever made them may not have got round to it."""
    await answers.announce_again(context.cache, [UUID(course) for course in courses])
    context.log.info("cache_refreshed", courses=len(courses))
