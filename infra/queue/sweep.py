"""Taking tasks back: after lapsed leases, lost messages, and the stop of a worker."""

from collections.abc import Collection

import asyncpg
import orjson

from infra.observability import logs, task_metrics
from infra.observability.events import Event
from infra.queue import life
from infra.queue.kind import TaskKind
from infra.queue.leases import ended_attempt
from infra.queue.life import HookedTask
from infra.queue.table import CHANNEL

LOST_WORKER = "The worker died or stopped answering while the task ran"
EXPIRED = "It was too late to start the task"
# A published task's message is lost if it is unclaimed for so long and the broker's queue is empty.
LOST_AFTER_SECONDS = 5.0

_BACKOFF = "array(SELECT value::float8 FROM jsonb_array_elements_text($2::jsonb -> name))"
_SINCE = "coalesce(now() - make_interval(secs => {}), '-infinity')"

log = logs.get_logger(__name__)


async def sweep(
    connection: asyncpg.Connection,
    kinds: Collection[TaskKind] = (),
    within: float | None = None,
) -> int:
    """Queue the running tasks with lapsed leases again, or fail them; return how many.

    `kinds` have their back-offs. The leases have lapsed `within` so many seconds, or ever.
    """
    backoffs = {str(kind.name): kind.backoff for kind in kinds if kind.backoff}
    swept = await connection.fetch(
        f"""
        UPDATE tasks SET {ended_attempt("attempts >= max_attempts", _BACKOFF, "$1")}
        WHERE id IN (
            SELECT id FROM tasks WHERE state = 'running'
              AND lease_until < now() AND lease_until >= {_SINCE.format("$3")}
            FOR UPDATE SKIP LOCKED)
        RETURNING id, name, state, attempts, worker, request_id
        """,  # noqa: S608  constants of this package
        LOST_WORKER,
        orjson.dumps(backoffs).decode(),
        within,
    )
    for row in swept:
        task_metrics.attempts.inc(labels=(row["name"], "lost"))
        if row["state"] != "queued":
            task_metrics.attempts_taken.observe(row["attempts"], (row["name"],))
        log.warning(
            Event.TASK_LOST_ITS_WORKER,
            task_id=str(row["id"]),
            task=row["name"],
            state=row["state"],
            attempt=row["attempts"],
            worker=row["worker"],
            request_id=row["request_id"],
        )
        task = HookedTask(row["id"], row["name"], row["attempts"])
        await life.failed(task, LOST_WORKER, row["state"])
        await life.state_changed(task, row["state"])
    return len(swept)


async def expire(connection: asyncpg.Connection, within: float | None = None) -> int:
    """Cancel the waiting tasks that it is too late to start; return how many.

    Their times passed `within` so many seconds, or ever.
    """
    expired = await connection.fetch(
        f"""
        UPDATE tasks SET state = 'cancelled', finished_at = now(), published_at = NULL,
            lease_until = NULL, error = $1
        WHERE id IN (
            SELECT id FROM tasks WHERE state = 'queued'
              AND start_before <= now() AND start_before >= {_SINCE.format("$2")}
            FOR UPDATE SKIP LOCKED)
        RETURNING id, name, attempts, request_id
        """,  # noqa: S608  constants of this module
        EXPIRED,
        within,
    )
    for row in expired:
        log.warning(
            Event.TASK_EXPIRED,
            task_id=str(row["id"]),
            task=row["name"],
            attempt=row["attempts"],
            request_id=row["request_id"],
        )
        task = HookedTask(row["id"], row["name"], row["attempts"])
        await life.state_changed(task, "cancelled")
    return len(expired)


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
