"""Marking due tasks for publishing: the relay commits a batch with a lease, then sends it.

If the relay dies in between, or the broker loses a message, the task is due again when the lease
lapses. Publishing twice is harmless, because claims are fenced.
"""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import asyncpg

from infra.queue import successors
from infra.queue.kind import TaskKind
from infra.queue.levels import LATE_COMMIT, Levels
from infra.queue.queues import IS_LIMITED, IS_PAUSED, TOKENS
from infra.queue.scans import FullScans
from infra.queue.table import NO_WAIT, unindexed

BATCH = 100
# The most published and unclaimed tasks of one queue, over all relays. The backlog stays in the
# database, where priorities apply.
WINDOW = 200
PUBLISHED_LEASE_SECONDS = 60.0
# How long a pass may go on with the counts of the one before.
RECENT_SECONDS = 0.25
# How many concurrency keys a pass looks at.
KEYS = 500
# Settings of the relay's connection. Each of its statements has an index for exactly its rows. The
# table changes so fast that the planner's statistics would mislead it.
PLANNER = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
    # Planning takes longer than what is planned, and no value changes the plan.
    "plan_cache_mode": "force_generic_plan",
    # A relay that is stopped within a transaction must not keep locks on tasks.
    "idle_in_transaction_session_timeout": "5s",
}
_IS_QUEUED = unindexed("state = 'queued'")
_LOCK = 0x54415351

# Scans per name and priority, so it reads neither the backlog of full queues nor tasks due later.
# `gaps` are the ranges between the known priorities of a kind, which may contain new priorities.
_BATCH = """
    kinds AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $13::int[])
            AS kinds (name, queue, max_attempts, of_kind, version)
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
              AND tasks.version <= kinds.version
              AND NOT cancel_requested
            ORDER BY available_at
            LIMIT {size}
            FOR UPDATE SKIP LOCKED
        ) AS found
        ORDER BY kinds.of_kind + levels.priority DESC, found.available_at
        LIMIT {size}
    )
"""
# A lost mark means that a task is published twice.
_MARK = f"""
    UPDATE tasks
    SET published_at = now(), lease_until = now() + make_interval(secs => $12),
        queue = due.queue,
        max_attempts = coalesce(tasks.max_attempts, tasks.attempts + due.max_attempts)
    FROM due
    WHERE tasks.id = due.id
    RETURNING tasks.id, tasks.name, tasks.queue, due.priority, tasks.available_at,
              tasks.args, tasks.priority AS level, tasks.attempts, tasks.dedupe_key,
              tasks.request_id, tasks.trace_context, {NO_WAIT}
"""  # noqa: S608  a constant
_MARK_DUE = f"WITH RECURSIVE {_BATCH.format(size='$11')} {_MARK}"
# A batch of one queue, as large as its limits have room for. The claim enforces them. The lock
# avoids messages that would be refused: relays that were woken together have the same counts.
_MARK_LIMITED = f"""
    WITH RECURSIVE held AS (
        SELECT count(*) AS unclaimed FROM tasks
        WHERE state IN ('queued', 'running') AND {_IS_QUEUED} AND queue = $14
          AND lease_until >= greatest(now(), $15::timestamptz)
    ), counts AS (
        SELECT concurrency - unclaimed - (
                   SELECT count(*) FROM tasks
                   WHERE state = 'running' AND queue = $14 AND queue_slot IS NOT NULL
               ) AS slots,
               floor({TOKENS.format(at="now()")})::bigint - unclaimed AS tokens
        FROM task_queues, held
        WHERE name = $14 AND pg_try_advisory_xact_lock({_LOCK}, hashtext(name))
    ), room AS (
        SELECT greatest(0, least($11::bigint, slots, tokens)) AS size,
               coalesce(tokens <= coalesce(slots, tokens), FALSE) AS is_rated
        FROM counts
    ), {_BATCH.format(size="(SELECT coalesce(max(room.size), 0) FROM room)")},
    marked AS ({_MARK})
    SELECT marked.*, room.size, room.is_rated FROM room LEFT JOIN marked ON TRUE
"""  # noqa: S608  constants
# Lets the first tasks of each key go that it has room for; `$3` is the key to start after. A task
# in back-off takes no room.
_ADMIT = f"""
    WITH RECURSIVE keys AS (
        SELECT 1 AS number, (
            SELECT min(concurrency_key) FROM tasks
            WHERE state = 'queued' AND concurrency_key > $3::text
        ) AS key
        WHERE pg_try_advisory_xact_lock({_LOCK}, 0)
        UNION ALL
        SELECT number + 1, (
            SELECT min(concurrency_key) FROM tasks
            WHERE state = 'queued' AND concurrency_key > key
        ) FROM keys WHERE key IS NOT NULL AND number < {KEYS}
    ), admitted AS (
        UPDATE tasks SET available_at = due_at, due_at = NULL
        FROM (
            SELECT id FROM keys, LATERAL (
                SELECT count(*) AS held FROM tasks
                WHERE state = 'queued' AND concurrency_key = key AND due_at IS NULL
                  AND available_at <= now()
            ) AS published, LATERAL (
                SELECT count(*) AS held FROM tasks
                WHERE state = 'running' AND concurrency_key = key AND key_slot IS NOT NULL
            ) AS running, LATERAL (
                SELECT id, name, row_number() OVER (ORDER BY due_at) AS place FROM (
                    SELECT id, name, due_at FROM tasks
                    WHERE state = 'queued' AND concurrency_key = key AND due_at <= now()
                    ORDER BY due_at
                    LIMIT (SELECT max(per_key) FROM unnest($2::int[]) AS limits (per_key))
                ) AS first
            ) AS waiting JOIN unnest($1::text[], $2::int[]) AS kinds (name, per_key) USING (name)
            WHERE published.held + running.held + place <= per_key
        ) AS found
        WHERE tasks.id = found.id AND {_IS_QUEUED} AND due_at IS NOT NULL
        RETURNING name
    )
    SELECT (SELECT array_agg(name) FROM admitted) AS names,
           (SELECT key FROM keys WHERE number = {KEYS}) AS last_key
"""  # noqa: S608  constants
_UNMARK = f"""
    UPDATE tasks SET published_at = NULL, lease_until = NULL
    WHERE id = ANY($1) AND {_IS_QUEUED}
"""  # noqa: S608  a constant
# A row for each queue that has published tasks or a row of its own, and at least one.
_COUNT_PUBLISHED = f"""
    SELECT now() AS at, coalesce(queue, name) AS queue, coalesce(unclaimed, 0) AS unclaimed,
           coalesce(first_lease, now() + make_interval(secs => $2)) AS first_lease,
           (SELECT min(concurrency_key) FROM tasks
            WHERE state = 'queued' AND concurrency_key IS NOT NULL) AS first_key,
           (SELECT max(finished_at) FROM tasks
            WHERE is_awaited AND finished_at >= coalesce($3::timestamptz, '-infinity')
           ) AS last_end,
           coalesce({IS_PAUSED}, FALSE) AS is_paused, coalesce({IS_LIMITED}, FALSE) AS is_limited
    FROM (SELECT) AS once LEFT JOIN (task_queues FULL JOIN (
        SELECT queue, count(*) AS unclaimed, min(lease_until) AS first_lease FROM tasks
        WHERE state IN ('queued', 'running') AND {_IS_QUEUED}
          AND lease_until >= greatest(now(), $1::timestamptz)
        GROUP BY queue
    ) AS counted ON name = queue) ON TRUE
"""  # noqa: S608  constants


class DueTasks:
    """The due tasks of one relay, in passes: batches are published until one is not full."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._levels = Levels()
        self._kinds: Collection[TaskKind] = ()
        # Published and unclaimed tasks by queue. The first batch of a pass counts them among the
        # leases from `_leases_from` on; `_counted_at` is the database's time of the count.
        self._unclaimed: Counter[str] | None = None
        # Those of the last pass, until `_recent_until`, if it held no task back.
        self._recent: Counter[str] | None = None
        self._recent_until = 0.0
        # The paused and the limited queues, read together with the count.
        self.paused: frozenset[str] = frozenset()
        self._limited: frozenset[str] = frozenset()
        # Whether tasks with a concurrency key wait, and the key after which the next pass looks.
        self._has_keys = False
        self._keys_after = ""
        # When the last task ended whose successors are not told, and from when there may be some.
        self._last_end: datetime | None = None
        self._ends_from: datetime | None = None
        # Whether a batch of `mark` was not full.
        self._is_last = True
        # After `mark`: whether a queue has no tokens now, so more tasks may start soon.
        self.is_held_back = False
        self._counted_at = datetime.now(UTC)
        self._leases_from: datetime | None = None
        self._full_scans = FullScans()

    def resume(self) -> bool:
        """Start a pass with the counts of the last one; return whether that is possible.

        It is if they are recent, and all tasks that were due then are published.
        """
        is_recent = self._unclaimed is None and time.monotonic() < self._recent_until
        if self._recent is None or not is_recent:
            return False
        self._unclaimed = self._recent
        return True

    async def queues_with_room(self, queues: Collection[str]) -> set[str]:
        """Return the queues whose windows are not full, and which are not paused."""
        if self._unclaimed is None:
            self._unclaimed = await self._count_published()
            self._recent_until = time.monotonic() + RECENT_SECONDS
        unclaimed = self._unclaimed
        return {queue for queue in queues if unclaimed[queue] < WINDOW} - self.paused

    def unclaimed(self, queue: str) -> int:
        """Return the number of published and unclaimed tasks of a queue in this pass."""
        return self._unclaimed[queue] if self._unclaimed is not None else 0

    async def mark(self, kinds: Collection[TaskKind]) -> list[asyncpg.Record]:
        """Mark due tasks of these kinds as published; the highest priority first.

        They are a batch, and what limited queues have room for. `published` or `unmark` must
        follow.
        """
        self.is_held_back = False
        if self._last_end:
            await self._tell_successors(self._last_end)
        if self._has_keys and kinds:
            await self._admit(kinds)
        self._kinds = [kind for kind in kinds if kind.queue not in self._limited]
        batch = await self._mark(_MARK_DUE, self._kinds)
        self._full_scans.end()
        self._is_last = len(batch) < BATCH
        for queue in self._limited & {kind.queue for kind in kinds}:
            batch += await self._mark_limited(queue, [k for k in kinds if k.queue == queue])
        batch.sort(key=lambda row: (-row["priority"], row["available_at"]))
        return batch

    async def _tell_successors(self, last_end: datetime) -> None:
        """Tell tasks that wait for others which of these have ended."""
        is_left = await successors.tell(self._connection, self._ends_from)
        self._last_end = None
        if is_left:
            self.is_held_back = True
        else:
            self._ends_from = last_end - LATE_COMMIT

    async def _admit(self, kinds: Collection[TaskKind]) -> None:
        """Let tasks of these kinds go whose concurrency keys have room."""
        (found,) = await self._connection.fetch(
            _ADMIT,
            [kind.name for kind in kinds],
            [kind.concurrency_per_key for kind in kinds],
            self._keys_after,
        )
        # They have been due for a while.
        self._levels.scan_all(set(found["names"] or ()))
        self._keys_after = found["last_key"] or ""
        self.is_held_back = self.is_held_back or bool(self._keys_after)

    async def _mark_limited(self, queue: str, kinds: Collection[TaskKind]) -> list[asyncpg.Record]:
        # Refused claims leave due tasks behind the starts of the scans.
        self._levels.scan_all(kind.name for kind in kinds)
        found = await self._mark(_MARK_LIMITED, kinds, queue, self._leases_from)
        batch = [row for row in found if row["id"]]
        # Without a row another relay has the lock.
        if not found or (found[0]["is_rated"] and len(batch) >= found[0]["size"]):
            self.is_held_back = True
        return batch

    async def _mark(
        self, statement: str, kinds: Collection[TaskKind], *values: object
    ) -> list[asyncpg.Record]:
        levels = [level for kind in kinds for level in self._levels.of(kind.name)]
        gaps = [gap for kind in kinds for gap in self._levels.gaps(kind.name)]
        return await self._connection.fetch(  # type: ignore[no-any-return]
            statement,
            [kind.name for kind in kinds],
            [kind.queue for kind in kinds],
            [kind.max_attempts for kind in kinds],
            [kind.priority for kind in kinds],
            *_columns(gaps),
            *_columns(levels),
            BATCH,
            PUBLISHED_LEASE_SECONDS,
            [kind.version for kind in kinds],
            *values,
        )

    def published(self, batch: Collection[asyncpg.Record]) -> None:
        """Record that a batch was sent; the last batch ends the pass."""
        for row in batch:
            if self._unclaimed is not None:
                self._unclaimed[row["queue"]] += 1
            self._levels.published(row["name"], row["level"], row["available_at"])
        if self._is_last:
            self._levels.exhausted((kind.name for kind in self._kinds), self._counted_at)
            self._recent = None if self._holds_back() else self._unclaimed
            self._unclaimed = None

    def _holds_back(self) -> bool:
        is_full = self._unclaimed is None or max(self._unclaimed.values(), default=0) >= WINDOW
        return is_full or self._has_keys or bool(self.paused or self._limited or self._last_end)

    async def unmark(self, batch: Collection[asyncpg.Record]) -> None:
        """Make a batch due again that was not sent completely, and end the pass."""
        self._unclaimed = self._recent = None
        await self._connection.execute(_UNMARK, [row["id"] for row in batch])

    def scan_all(self) -> None:
        """Start the next scans at the first entry of their index."""
        self._leases_from = None
        self._ends_from = None
        self._levels.scan_all()

    async def _count_published(self) -> Counter[str]:
        """Count the published and unclaimed tasks by queue.

        A later publication has a later lease. So the count starts at the first lease of the last
        count, and in a full scan at the first of all leases.
        """
        if self._full_scans.begin():
            self.scan_all()
        counted = await self._connection.fetch(
            _COUNT_PUBLISHED, self._leases_from, PUBLISHED_LEASE_SECONDS, self._ends_from
        )
        self._counted_at = counted[0]["at"]
        self._leases_from = min(row["first_lease"] for row in counted) - LATE_COMMIT
        paused = frozenset(row["queue"] for row in counted if row["is_paused"])
        if self.paused - paused:
            # Claims that were refused have left tasks behind the starts of the scans.
            self._levels.scan_all()
        self.paused = paused
        self._has_keys = counted[0]["first_key"] is not None
        self._last_end = counted[0]["last_end"]
        self._limited = frozenset(row["queue"] for row in counted if row["is_limited"])
        return Counter({row["queue"]: row["unclaimed"] for row in counted if row["unclaimed"]})


def _columns(records: Sequence[tuple[object, object, object]]) -> list[list[object]]:
    """Return the three columns of records, for `unnest`."""
    return [[record[position] for record in records] for position in range(3)]
