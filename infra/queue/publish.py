"""Marking due tasks for publishing: the relay commits a batch with a lease, then sends it.

If the relay dies in between, or the broker loses a message, the task is due again when the lease
lapses. Publishing twice is harmless, because claims are fenced.
"""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import asyncpg

from infra.queue.kind import TaskKind
from infra.queue.levels import LATE_COMMIT, Levels
from infra.queue.table import unindexed

BATCH = 100
# The most published and unclaimed tasks of one queue, over all relays. The backlog stays in the
# database, where priorities apply.
WINDOW = 200
PUBLISHED_LEASE_SECONDS = 60.0
# How often the scans start at the first entry of their index.
FULL_SCAN_SECONDS = 1.0
# Settings of the relay's connection. Each of its statements has an index for exactly its rows. The
# table changes so fast that the planner's statistics would mislead it.
PLANNER = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
}
_IS_QUEUED = unindexed("state = 'queued'")

# Scans per name and priority, so it reads neither the backlog of full queues nor tasks due later.
# `gaps` are the ranges between the known priorities of a kind, which may contain new priorities.
_MARK_DUE = """
    WITH RECURSIVE kinds AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::int[])
            AS kinds (name, queue, max_attempts, of_kind)
    ), gaps AS (
        SELECT * FROM unnest($5::text[], $6::int[], $7::int[]) AS gaps (name, above, below)
    ), new_levels AS (
        SELECT name, above, (SELECT max(priority) FROM tasks
                             WHERE tasks.name = gaps.name AND state = 'queued'
                               AND tasks.priority > above
                               AND tasks.priority < below) AS priority
        FROM gaps
        UNION ALL
        SELECT name, above, (SELECT max(priority) FROM tasks
                             WHERE tasks.name = new_levels.name AND state = 'queued'
                               AND tasks.priority > above
                               AND tasks.priority < new_levels.priority)
        FROM new_levels WHERE priority IS NOT NULL
    ), levels AS (
        SELECT * FROM unnest($8::text[], $9::int[], $10::timestamptz[])
            AS levels (name, priority, due_from)
        UNION ALL
        SELECT name, priority, NULL FROM new_levels WHERE priority IS NOT NULL
    ), due AS (
        SELECT found.id, kinds.queue, kinds.max_attempts,
               kinds.of_kind + levels.priority AS priority
        FROM levels JOIN kinds USING (name), LATERAL (
            SELECT id, available_at FROM tasks
            WHERE tasks.name = levels.name AND tasks.priority = levels.priority
              AND state = 'queued' AND available_at <= now()
              AND available_at >= coalesce(levels.due_from, '-infinity')
              AND (published_at IS NULL OR lease_until < now())
              AND NOT cancel_requested
            ORDER BY available_at
            LIMIT $11
            FOR UPDATE SKIP LOCKED
        ) AS found
        ORDER BY kinds.of_kind + levels.priority DESC, found.available_at
        LIMIT $11
    )
    UPDATE tasks
    SET published_at = now(), lease_until = now() + make_interval(secs => $12),
        queue = due.queue,
        max_attempts = coalesce(tasks.max_attempts, tasks.attempts + due.max_attempts)
    FROM due
    WHERE tasks.id = due.id
    RETURNING tasks.id, tasks.name, tasks.queue, due.priority, tasks.available_at,
              tasks.args, tasks.priority AS level
"""
_UNMARK = f"""
    UPDATE tasks SET published_at = NULL, lease_until = NULL
    WHERE id = ANY($1) AND {_IS_QUEUED}
"""  # noqa: S608  a constant
_COUNT_PUBLISHED = f"""
    SELECT now() AS at, queue, unclaimed,
           coalesce(first_lease, now() + make_interval(secs => $2)) AS first_lease
    FROM (SELECT) AS once LEFT JOIN (
        SELECT queue, count(*) AS unclaimed, min(lease_until) AS first_lease FROM tasks
        WHERE state IN ('queued', 'running') AND {_IS_QUEUED}
          AND lease_until >= greatest(now(), $1::timestamptz)
        GROUP BY queue
    ) AS counted ON TRUE
"""  # noqa: S608  a constant


class DueTasks:
    """The due tasks of one relay, in passes: batches are published until one is not full."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._levels = Levels()
        self._kinds: Collection[TaskKind] = ()
        # Published and unclaimed tasks by queue. The first batch of a pass counts them among the
        # leases from `_leases_from` on; `_counted_at` is the database's time of the count.
        self._unclaimed: Counter[str] | None = None
        self._counted_at = datetime.now(UTC)
        self._leases_from: datetime | None = None
        self._full_scan_at = -FULL_SCAN_SECONDS

    async def queues_with_room(self, queues: Collection[str]) -> set[str]:
        """Return the queues whose windows are not full."""
        if self._unclaimed is None:
            self._unclaimed = await self._count_published()
        unclaimed = self._unclaimed
        return {queue for queue in queues if unclaimed[queue] < WINDOW}

    async def mark(self, kinds: Collection[TaskKind]) -> list[asyncpg.Record]:
        """Mark a batch of due tasks of these kinds as published; the highest priority first.

        `published` or `unmark` must follow.
        """
        self._kinds = kinds
        levels = [level for kind in kinds for level in self._levels.of(kind.name)]
        gaps = [gap for kind in kinds for gap in self._levels.gaps(kind.name)]
        batch: list[asyncpg.Record] = await self._connection.fetch(
            _MARK_DUE,
            [kind.name for kind in kinds],
            [kind.queue for kind in kinds],
            [kind.max_attempts for kind in kinds],
            [kind.priority for kind in kinds],
            *_columns(gaps),
            *_columns(levels),
            BATCH,
            PUBLISHED_LEASE_SECONDS,
        )
        batch.sort(key=lambda row: (-row["priority"], row["available_at"]))
        return batch

    def published(self, batch: Collection[asyncpg.Record]) -> None:
        """Record that a batch was sent; a batch that is not full ends the pass."""
        for row in batch:
            if self._unclaimed is not None:
                self._unclaimed[row["queue"]] += 1
            self._levels.published(row["name"], row["level"], row["available_at"])
        if len(batch) < BATCH:
            self._levels.exhausted((kind.name for kind in self._kinds), self._counted_at)
            self._unclaimed = None

    async def unmark(self, batch: Collection[asyncpg.Record]) -> None:
        """Make a batch due again that was not sent completely, and end the pass."""
        self._unclaimed = None
        await self._connection.execute(_UNMARK, [row["id"] for row in batch])

    def scan_all(self) -> None:
        """Start the next scans at the first entry of their index."""
        self._full_scan_at = time.monotonic()
        self._leases_from = None
        self._levels.scan_all()

    async def _count_published(self) -> Counter[str]:
        """Count the published and unclaimed tasks by queue.

        A later publication has a later lease. So the count starts at the first lease of the last
        count, and at the first of all leases every `FULL_SCAN_SECONDS`.
        """
        if time.monotonic() - self._full_scan_at >= FULL_SCAN_SECONDS:
            self.scan_all()
        counted = await self._connection.fetch(
            _COUNT_PUBLISHED, self._leases_from, PUBLISHED_LEASE_SECONDS
        )
        self._counted_at = counted[0]["at"]
        self._leases_from = min(row["first_lease"] for row in counted) - LATE_COMMIT
        return Counter({row["queue"]: row["unclaimed"] for row in counted if row["unclaimed"]})


def _columns(records: Sequence[tuple[object, object, object]]) -> list[list[object]]:
    """Return the three columns of records, for `unnest`."""
    return [[record[position] for record in records] for position in range(3)]
