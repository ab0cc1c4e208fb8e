"""Keeping the cache true and warm."""

from uuid import UUID

from infra.cache import CacheAway
from infra.queue.enqueue import release_dedupe_key
from services.catalogue import read
from services.task_names import TaskName
from tasks.registry import TaskContext, task


@task(TaskName.REFRESH_CACHE, queue="cache", max_attempts=12, timeout=30)
async def refresh(context: TaskContext, courses: list[str]) -> None:
    """Announce changes of courses, unless whoever made them has got round to it."""
    if await read.is_announced(context.cache, context.id):
        context.log.info("cache_is_fresh", courses=len(courses))
    else:
        await read.announce_again(context.cache, [UUID(course) for course in courses])
        context.log.info("cache_refreshed", courses=len(courses))
    await read.ask_to_warm()


@task(TaskName.WARM_CACHE, queue="cache", timeout=60, every=60)
async def warm(context: TaskContext) -> None:
    """Have the answers at hand that are read most, before anybody waits for one."""
    # What a change makes old from now on is for the next one: this one may be past it.
    await release_dedupe_key(context.id)
    try:
        names = await context.cache.top(context.settings.cache_warm_responses)
        lacking = await read.lacking(context.cache, names)
        warmed = await read.warm(context.cache, lacking, context.storage.url)
    except CacheAway as error:
        # Nothing is owed: what is not warm is made when somebody asks.
        context.log.info("cache_not_warmed", error=str(error))
    else:
        context.log.info("cache_warmed", answers=warmed)
