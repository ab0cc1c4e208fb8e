"""The cache: which tier answers, and what a miss costs."""

from deploy.observe.dashboards.definition import (
    Level,
    Query,
    Threshold,
    Unit,
    dashboard,
    figure,
    graph,
    or_zero,
    rate,
    row,
)
from deploy.observe.dashboards.targets import bound

_FOUND = rate('cache_requests_total{tier=~"memory|redis"}')
_HITS = f"{_FOUND} / {rate('cache_requests_total')}"
_HIT_LIMITS = (Threshold(bound("cache-hits").objective, below=True),)
_REDIS = 'job="redis-cache"'

DASHBOARD = dashboard(
    "cache",
    "Cache",
    "Reads are answered from memory, then from Redis, then from the database.",
    row(
        "Now",
        figure(
            "Hits",
            Unit.RATIO,
            "Reads answered from memory or Redis.",
            Query(_HITS, "hits"),
            thresholds=_HIT_LIMITS,
        ),
        figure(
            "Reads", Unit.PER_SECOND, "Cached reads.", Query(rate("cache_requests_total"), "reads")
        ),
        figure(
            "Entries in memory",
            Unit.COUNT,
            "Responses, of all processes together.",
            Query('sum(cache_entries{job="api"})', "entries"),
        ),
        figure(
            "Memory of the entries",
            Unit.BYTES,
            "Of all API processes together; CACHE_MEMORY_BYTES bounds each.",
            Query('sum(cache_bytes{job="api"})', "bytes"),
        ),
        figure(
            "Redis",
            Unit.RATIO,
            "Memory in use, as a share of its maximum.",
            Query(
                f"redis_memory_used_bytes{{{_REDIS}}} / redis_memory_max_bytes{{{_REDIS}}}",
                "memory",
            ),
            thresholds=(Threshold(0.95, Level.WARNING),),
        ),
        figure(
            "Stale",
            Unit.PER_SECOND,
            "Reads answered from memory that may be old, while a poll is late.",
            Query(or_zero(rate('cache_requests_total{tier="stale"}')), "reads"),
            thresholds=(Threshold(1, Level.WARNING),),
        ),
    ),
    row(
        "Tiers",
        graph(
            "Reads by tier",
            Unit.PER_SECOND,
            "The tier that had the response.",
            Query(rate("cache_requests_total", "tier"), "{{tier}}"),
            stacked=True,
        ),
        graph(
            "Share of hits",
            Unit.RATIO,
            "From memory or Redis; the line is the objective.",
            Query(_HITS, "hits"),
            thresholds=_HIT_LIMITS,
        ),
        graph(
            "Invalidations and errors",
            Unit.PER_SECOND,
            "Changes of courses, and failed calls of Redis.",
            Query(or_zero(rate("cache_invalidations_total")), "invalidations"),
            Query(or_zero(rate("cache_errors_total")), "errors"),
        ),
    ),
    row(
        "Redis of the cache",
        graph(
            "Memory",
            Unit.BYTES,
            "Above the maximum it evicts.",
            Query(f"redis_memory_used_bytes{{{_REDIS}}}", "used"),
            Query(f"redis_memory_max_bytes{{{_REDIS}}}", "maximum"),
        ),
        graph(
            "Look-ups",
            Unit.PER_SECOND,
            "Of keys, in Redis itself.",
            Query(rate(f"redis_keyspace_hits_total{{{_REDIS}}}"), "hits"),
            Query(rate(f"redis_keyspace_misses_total{{{_REDIS}}}"), "misses"),
        ),
        graph(
            "Removed keys",
            Unit.PER_SECOND,
            "Evicted for room, or expired.",
            Query(rate(f"redis_evicted_keys_total{{{_REDIS}}}"), "evicted"),
            Query(rate(f"redis_expired_keys_total{{{_REDIS}}}"), "expired"),
        ),
    ),
)
