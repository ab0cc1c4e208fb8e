"""Taking back what was lost: running tasks whose lease lapsed, messages that the broker dropped."""

from collections.abc import Collection

import asyncpg

from infra.observability import logs
from infra.queue.leases import ended_attempt

LOST_WORKER = "The worker died or stopped answering while the task ran"
# A published task that no worker claimed for so long is lost if the broker's queue is empty.
LOST_AFTER_SECONDS = 5.0

log = logs.get_logger(__name__)


async def sweep(connection: asyncpg.Connection) -> int:
    """Queue the running tasks whose lease lapsed, or fail them; return how many there were."""
    swept = await connection.fetch(
        f"""
        UPDATE tasks SET {ended_attempt("attempts >= max_attempts")}, error = $1
        WHERE id IN (
            SELECT id FROM tasks WHERE state = 'running' AND lease_until < now()
            FOR UPDATE SKIP LOCKED)
        RETURNING id, name, state, attempts, worker
        """,  # noqa: S608  constants of this package
        LOST_WORKER,
    )
    for row in swept:
        log.warning("task_lost_its_worker", **{key: str(value) for key, value in row.items()})
    return len(swept)


async def requeue_lost(connection: asyncpg.Connection, empty_queues: Collection[str]) -> int:
    """Make due what was published to queues that are empty and was not claimed.

    Returns:
        How many are due again.

    """
    status = await connection.execute(
        """
        UPDATE tasks SET published_at = NULL, lease_until = NULL
        WHERE state = 'queued' AND lease_until >= now() AND queue = ANY($1::text[])
          AND published_at < now() - make_interval(secs => $2)
        """,
        list(empty_queues),
        LOST_AFTER_SECONDS,
    )
    return int(status.split()[-1])
