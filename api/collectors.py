"""Collects the metrics of a server process's cache and pool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.aio.periodic import periodic
from infra.cache import ResponseCache
from infra.db import engine
from infra.observability import metrics

COLLECT_SECONDS = 0.25


@asynccontextmanager
async def collect_metrics(cache: ResponseCache) -> AsyncIterator[None]:
    """Update the metrics periodically, because updating them at each event is slow."""
    collecting = asyncio.create_task(periodic(COLLECT_SECONDS, lambda: update(cache)))
    try:
        yield
    finally:
        collecting.cancel()


def update(cache: ResponseCache) -> None:
    """Update the metrics once."""
    counts = cache.take_counts()
    tiers = {tier: getattr(counts, tier) for tier in metrics.TIERS}
    metrics.count_cache(tiers, counts.errors, counts.invalidations)
    metrics.set_cache_gauges(len(cache.memory), cache.memory.size)
    use = engine.pool_use()
    metrics.set_pool_gauges(use.size, use.in_use, use.waiting)
    metrics.count_expired_leases(engine.pop_expired_leases())
