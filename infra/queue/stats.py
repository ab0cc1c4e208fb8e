"""Statistics of the queues, for metrics and operators."""

from dataclasses import dataclass

from tortoise import BaseDBAsyncClient

from infra.db.engine import primary

MOST_COUNTED = 10_000
# The queue name of tasks that no relay has published yet.
UNASSIGNED = "-"


@dataclass(frozen=True)
class QueueStats:
    """Task counts of a queue; `oldest_due_seconds` is the time since its oldest task became due."""

    queue: str
    queued: int = 0
    running: int = 0
    failed: int = 0
    oldest_due_seconds: float = 0.0


async def queue_stats(source: BaseDBAsyncClient | None = None) -> list[QueueStats]:
    """Return the statistics of all queues; unpublished tasks are under `UNASSIGNED`.

    Only the oldest `MOST_COUNTED` tasks of each state count, which bounds the cost of a scrape.
    """
    each = " UNION ALL ".join(
        f"(SELECT queue, state, available_at FROM tasks WHERE state = '{state}' "  # noqa: S608
        f"ORDER BY created_at, id LIMIT {MOST_COUNTED})"
        for state in ("queued", "running", "failed")
    )
    found = await (source or primary()).execute_query_dict(
        f"""
        SELECT coalesce(queue, '{UNASSIGNED}') AS queue,
               count(*) FILTER (WHERE state = 'queued') AS queued,
               count(*) FILTER (WHERE state = 'running') AS running,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               coalesce(greatest(0, extract(epoch FROM now() -
                   min(available_at) FILTER (WHERE state = 'queued'))), 0)::float8
                   AS oldest_due_seconds
        FROM ({each}) AS counted GROUP BY 1 ORDER BY 1
        """  # noqa: S608  constants of this module only
    )
    return [QueueStats(**row) for row in found]
