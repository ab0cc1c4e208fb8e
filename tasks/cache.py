"""Keeping the cache warm."""

from infra.cache import CacheDown
from infra.queue.enqueue import release_dedupe_key
from services.catalogue import read
from services.catalogue.feed import catch_up
from services.task_names import TaskName
from tasks.registry import TaskContext, task


@task(TaskName.WARM_CACHE, queue="cache", timeout=60, every=60)
async def warm(context: TaskContext) -> None:
    """Have the answers at hand that are read most, before anybody waits for one."""
    # What a change makes old from now on is for the next one: this one may be past it.
    await release_dedupe_key(context.id)
    await catch_up(context.cache)
    try:
        names = await context.cache.top(context.settings.cache_warm_responses)
        warmed = await read.warm(context.cache, names, context.storage.url)
    except CacheDown as error:
        # Nothing is owed: what is not warm is made when somebody asks.
        context.log.info("cache_not_warmed", error=str(error))
    else:
        context.log.info("cache_warmed", answers=warmed)
