"""Claims of several tasks at once: those that run beside a first one in its process.

A message is for one task. A process with places left on its event loop takes others of the kind
from the table, whether they are published or not. Their messages then find them claimed.
"""

from datetime import datetime

from infra.db.sql import rows
from infra.queue import leases
from infra.queue.kind import TaskKind
from infra.queue.leases import CLAIMED, SET_CLAIMED, Claim, claim_of
from infra.queue.queues import IS_LIMITED, IS_PAUSED

# The scan starts where the last one ended: the index may keep the entries of all tasks that ran.
# Tasks with a concurrency key, and those of a limited queue, are claimed one by one.
_CLAIM_DUE = f"""
    UPDATE tasks SET {SET_CLAIMED}, queue_slot = NULL, queue = $5::text,
        max_attempts = coalesce(max_attempts, attempts + $6::int)
    FROM (
        SELECT found.id AS due_id FROM tasks AS first, LATERAL (
            SELECT id FROM tasks AS other
            WHERE other.name = $4 AND other.priority = first.priority AND other.state = 'queued'
              AND other.available_at >= coalesce($8::timestamptz, first.available_at)
              AND other.available_at <= now() AND NOT other.cancel_requested
              AND other.version <= $7 AND other.concurrency_key IS NULL
              AND (other.max_attempts IS NULL OR other.attempts < other.max_attempts)
              AND (other.start_before IS NULL OR other.start_before > now())
              AND coalesce(other.queue, $5::text) = $5::text
            ORDER BY other.available_at
            LIMIT $9::bigint
            FOR UPDATE SKIP LOCKED
        ) AS found
        WHERE first.id = $1 AND NOT EXISTS (
            SELECT FROM task_queues WHERE task_queues.name = $5::text
              AND ({IS_PAUSED} OR {IS_LIMITED}))
    ) AS due
    WHERE id = due_id
    RETURNING {CLAIMED}, available_at
"""  # noqa: S608  constants only


class Companions:
    """The due tasks of the kind and priority of a claimed one, from that one on in their order."""

    def __init__(self, first: Claim, kind: TaskKind, worker: str) -> None:
        self._first = first
        self._kind = kind
        self._worker = worker
        self._due_from: datetime | None = None

    async def claim(self, count: int) -> list[Claim]:
        """Take as many tasks at most, and count their attempts; the commit does not wait."""
        kind = self._kind
        found = await rows(
            _CLAIM_DUE,
            self._first.id,
            leases.LEASE_SECONDS,
            self._worker,
            kind.name,
            kind.queue,
            kind.max_attempts,
            kind.version,
            self._due_from,
            count,
        )
        if found:
            self._due_from = max(row["available_at"] for row in found)
        return [claim_of(row) for row in found]
