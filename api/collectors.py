"""What a server process tells /metrics about its cache and its pool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.cache import ResponseCache
from infra.db import engine
from infra.observability import metrics

SHOW_SECONDS = 0.25


@asynccontextmanager
async def shown(cache: ResponseCache) -> AsyncIterator[None]:
    """Tell it again and again, in batches: a counter of many processes is slow to count with."""
    showing = asyncio.create_task(_show_again_and_again(cache))
    try:
        yield
    finally:
        showing.cancel()


async def _show_again_and_again(cache: ResponseCache) -> None:
    while True:
        show(cache)
        await asyncio.sleep(SHOW_SECONDS)


def show(cache: ResponseCache) -> None:
    """Bring the metrics up to date."""
    counts = cache.take_counts()
    tiers = {tier: getattr(counts, tier) for tier in metrics.TIERS}
    metrics.count_cache(tiers, counts.errors, counts.invalidations)
    metrics.set_cache_gauges(len(cache.memory), cache.memory.size)
    use = engine.pool_use()
    metrics.set_pool_gauges(use.size, use.in_use, use.waiting)
    metrics.count_expired_leases(engine.pop_expired_leases())
