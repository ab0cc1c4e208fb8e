"""Collects the metrics of a server process's cache and pool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.context import Context
from api.protocol.server_process import requests_in_flight
from infra.aio.periodic import periodic
from infra.db import engine
from infra.observability import metrics

COLLECT_SECONDS = 0.25


@asynccontextmanager
async def collect_metrics(context: Context) -> AsyncIterator[None]:
    """Update the metrics periodically, because updating them at each event is slow."""
    collecting = asyncio.create_task(periodic(COLLECT_SECONDS, lambda: update(context)))
    try:
        yield
    finally:
        collecting.cancel()


def update(context: Context) -> None:
    """Update the metrics once."""
    cache = context.cache
    counts = cache.counts.take()
    for tier in metrics.TIERS:
        metrics.cache_requests.inc(getattr(counts, tier), (tier,))
    metrics.cache_errors.inc(counts.errors)
    metrics.cache_invalidations.inc(counts.invalidations)
    metrics.cache_entries.set(len(cache.memory))
    metrics.cache_bytes.set(cache.memory.size)
    metrics.in_flight.set(requests_in_flight(context.connections))
    use = engine.pool_use()
    metrics.pool_size.set(use.size)
    metrics.pool_in_use.set(use.in_use)
    metrics.pool_waiting.set(use.waiting)
    metrics.leases_expired.inc(engine.pop_expired_leases())
