"""Taking tasks back: after lapsed leases, lost messages, and the stop of a worker."""

from collections.abc import Collection

import asyncpg

from infra.observability import logs
from infra.queue.leases import ended_attempt
from infra.queue.table import CHANNEL

LOST_WORKER = "The worker died or stopped answering while the task ran"
# A published task's message is lost if it is unclaimed for so long and the broker's queue is empty.
LOST_AFTER_SECONDS = 5.0

log = logs.get_logger(__name__)


async def sweep(connection: asyncpg.Connection) -> int:
    """Queue the running tasks with lapsed leases again, or fail them; return how many."""
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
    """Make the unclaimed published tasks of empty queues due again.

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


async def release_worker(connection: asyncpg.Connection, worker: str) -> int:
    """Queue the running tasks of a stopped worker again; the attempt does not count.

    A task whose cancellation was requested ends as cancelled.

    Returns:
        How many tasks the worker was running.

    """
    status = await connection.execute(
        """
        UPDATE tasks
        SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
            finished_at = CASE WHEN cancel_requested THEN now() END,
            available_at = now(), published_at = NULL, lease_until = NULL,
            max_attempts = max_attempts + 1
        WHERE state = 'running' AND worker = $1
        """,
        worker,
    )
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
    return int(status.split()[-1])
