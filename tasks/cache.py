"""The task that warms the cache."""

from infra.cache import CacheDown
from infra.observability.events import Event
from infra.queue.unique import release_dedupe_key
from services.catalogue import read
from services.catalogue.feed import catch_up
from services.task_names import TaskName
from tasks.registry import TaskContext, task


@task(TaskName.WARM_CACHE, queue="cache", timeout=60, every=60)
async def warm(context: TaskContext) -> None:
    """Fill the most read entries of the cache before clients read them."""
    # Later changes enqueue another task: this one may have passed the entries that they outdate.
    await release_dedupe_key(context.id)
    await catch_up(context.cache)
    try:
        names = await context.cache.level.top(context.settings.cache_warm_responses)
        flags = await context.flags()
        warmed = await read.warm(context.cache, names, context.storage.url, flags=flags)
    except CacheDown as error:
        # Not retried: requests fill the entries that are missing.
        context.log.info(Event.CACHE_NOT_WARMED, error=str(error))
    else:
        context.log.info(Event.CACHE_WARMED, responses=warmed)
