"""Queues as operators steer them: in the database, so for every worker and over restarts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue.errors import QueueNotLimited, QueueNotPaused
from infra.queue.table import CHANNEL

# A condition on a row of `task_queues`. A pause with an end needs nobody to end it.
IS_PAUSED = (
    "(task_queues.paused_at IS NOT NULL "
    "AND (task_queues.resume_at IS NULL OR task_queues.resume_at > now()))"
)

IS_LIMITED = "(concurrency IS NOT NULL OR rate IS NOT NULL)"
# The tokens that a bucket has at a time `at`.
TOKENS = """
    least(burst, tokens + rate * greatest(0, extract(epoch FROM {at} - refilled_at)) / rate_seconds)
"""
# The slots of tasks that ran before their queue was limited; a claim takes lower ones.
_SLOTS_BEYOND = 1 << 14


@dataclass(frozen=True)
class Limits:
    """The limits of a queue, over all workers; all are at least 1, and None is no limit.

    At most `concurrency` tasks run at a time. At most `rate` tasks start in `rate_seconds`, and
    `burst` of them at once.
    """

    concurrency: int | None = None
    rate: int | None = None
    rate_seconds: int | None = None
    burst: int | None = None


@dataclass(frozen=True)
class QueueControl(Limits):
    """What operators have set for a queue; `resume_at` is when its pause ends by itself."""

    name: str = ""
    paused_at: datetime | None = None
    resume_at: datetime | None = None


async def pause(name: str, duration: timedelta | None = None) -> None:
    """Let no more tasks of a queue start, on any worker, from the commit on; running ones go on.

    It lasts until `resume`, or for `duration`. A second pause changes when the first one ends.
    """
    await rows(
        f"""
        INSERT INTO task_queues (name, paused_at, resume_at)
        VALUES ($1, now(), now() + $2::interval)
        ON CONFLICT (name) DO UPDATE SET resume_at = excluded.resume_at,
            paused_at = CASE WHEN {IS_PAUSED} THEN task_queues.paused_at ELSE now() END
        """,  # noqa: S608  a constant
        name,
        duration,
    )


async def resume(name: str) -> None:
    """Let tasks of a queue start again.

    Raises:
        QueueNotPaused: it is not paused.

    """
    resumed = await rows(
        "UPDATE task_queues SET paused_at = NULL, resume_at = NULL "  # noqa: S608  a constant
        f"WHERE name = $1 AND {IS_PAUSED} RETURNING pg_notify($2, '')",
        name,
        CHANNEL,
    )
    if not resumed:
        raise QueueNotPaused


async def limit(name: str, limits: Limits) -> None:
    """Set all limits of a queue for the tasks that start from now on; its bucket is full.

    Tasks that run already count, and none of them is stopped.
    """
    async with transaction():
        await rows(
            """
            INSERT INTO task_queues (name, concurrency, rate, rate_seconds, burst, tokens,
                refilled_at)
            VALUES ($1, $2, $3, $4, $5, $5::int, clock_timestamp())
            ON CONFLICT (name) DO UPDATE SET concurrency = excluded.concurrency,
                rate = excluded.rate, rate_seconds = excluded.rate_seconds,
                burst = excluded.burst, tokens = excluded.tokens,
                refilled_at = excluded.refilled_at
            RETURNING pg_notify($6, '')
            """,
            name,
            limits.concurrency,
            limits.rate,
            limits.rate_seconds,
            limits.burst,
            CHANNEL,
        )
        await rows(
            """
            UPDATE tasks SET queue_slot = unslotted.slot
            FROM (SELECT id, $2 + row_number() OVER () AS slot FROM tasks
                  WHERE state = 'running' AND queue = $1 AND queue_slot IS NULL) AS unslotted
            WHERE tasks.id = unslotted.id AND tasks.state = 'running' AND queue_slot IS NULL
            """,
            name,
            _SLOTS_BEYOND,
        )


async def unlimit(name: str) -> None:
    """Remove all limits of a queue.

    Raises:
        QueueNotLimited: it has none.

    """
    unlimited = await rows(
        "UPDATE task_queues SET concurrency = NULL, rate = NULL, rate_seconds = NULL, "  # noqa: S608  a constant
        "burst = NULL, tokens = NULL, refilled_at = NULL "
        f"WHERE name = $1 AND {IS_LIMITED} RETURNING pg_notify($2, '')",
        name,
        CHANNEL,
    )
    if not unlimited:
        raise QueueNotLimited


async def list_controls() -> list[QueueControl]:
    """Return what operators have set, by queue; a pause that has ended is none."""
    found = await rows(
        f"""
        SELECT name, concurrency, rate, rate_seconds, burst,
            CASE WHEN {IS_PAUSED} THEN paused_at END AS paused_at,
            CASE WHEN {IS_PAUSED} THEN resume_at END AS resume_at
        FROM task_queues ORDER BY name
        """  # noqa: S608  a constant
    )
    return [QueueControl(**row) for row in found]
