"""The relay: carries due tasks from PostgreSQL to the broker, in every worker's main process.

It marks a row with a lease, commits, then publishes. Dying in between, or a broker that forgets,
costs the lease's time and nothing else; publishing twice is harmless because claims are fenced.
"""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import NAMESPACE_OID, uuid5

import asyncpg
from celery import Celery
from kombu.exceptions import BatchPublishError, OperationalError
from kombu.messaging import Producer

from infra.observability import logs
from services.leases import LOST_WORKER, ended_attempt
from services.tasks import ALIVE_LOCK, unindexed
from tasks.registry import Registration
from worker.levels import LATE_COMMIT, Levels

BATCH = 100
# Published and not yet claimed of one queue, all workers together: the backlog waits in the
# database, where priorities still count, nothing is lost, and no other queue is held up by it.
WINDOW = 200
PUBLISHED_LEASE_SECONDS = 60.0
LOST_AFTER_SECONDS = 5.0
TEND_SECONDS = 1.0
BROKER_SECONDS = 3.0
# For the relay's connection. Each of its statements has an index that gives just what it needs; the
# planner, which knows little of a table that changes all the time, is not to think of other ways.
PLANNER = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
}
PROBE_SECONDS = 5.0
_IS_QUEUED = unindexed("state = 'queued'")

log = logs.get_logger(__name__)


class BrokerAway(Exception):
    """The broker takes no messages"""


class Relay:
    """One connection to the database and one to the broker."""

    def __init__(
        self, connection: asyncpg.Connection, celery: Celery, registry: dict[str, Registration]
    ) -> None:
        self.connection = connection
        self.celery = celery
        self.registry = registry
        broker = celery.connection_for_write()
        # More than kombu translates: RabbitMQ's refusal of a password or of a queue's properties.
        self._broker_errors = (
            OperationalError,
            BatchPublishError,
            OSError,
            *broker.connection_errors,
            *broker.channel_errors,
        )
        # After `publish`: whether there were more due tasks than there was room for.
        self.has_more = False
        self._producer: Producer | None = None
        self._slots: dict[str, int] = {}
        self._tended_at = -TEND_SECONDS
        self._probed_at = 0.0
        # The queues that held a window or more when the broker was asked, and when to ask again.
        self._stuffed: frozenset[str] = frozenset()
        self._ask_at = 0.0
        self._alive = False
        # What is published and not claimed, by queue, as long as a pass goes on: it is counted at
        # the first batch, at this time of the database, among the leases from this one on.
        self._waiting: Counter[str] | None = None
        self._counted_at = datetime.now(UTC)
        self._leases_from: datetime | None = None
        self._levels = Levels()
        self._scanned_all_at = -TEND_SECONDS

    def close(self) -> None:
        """Drop the connection to the broker, whatever state it is in."""
        if self._producer is not None:
            self._producer.connection.collect()
            self._producer = None

    async def run_once(self) -> int:
        """Publish what is due; once a second sweep and enqueue what is scheduled.

        Returns:
            How many were published.

        """
        if time.monotonic() - self._tended_at >= TEND_SECONDS:
            await self.sweep()
            await self.schedule()
            self._tended_at = time.monotonic()
        # First, for it tells which queues the broker holds enough of.
        await self._show_alive()
        return await self.publish()

    async def publish(self) -> int:
        """Publish a batch of due tasks, the highest priority first.

        A pass is batch after batch until one is not full.

        Raises:
            BrokerAway: what was not published is due again.

        """
        if self._waiting is None:
            self._waiting = await self._count_published()
        waiting = self._waiting
        queues = {kind.queue for kind in self.registry.values()}
        room = {queue for queue in queues if waiting[queue] < WINDOW}
        self.has_more = room < queues
        room -= self._still_stuffed(room)
        kinds = [kind for kind in self.registry.values() if kind.queue in room]
        levels = [level for kind in kinds for level in self._levels.of(kind.name)]
        gaps = [gap for kind in kinds for gap in self._levels.gaps(kind.name)]
        rows = await self.connection.fetch(
            """
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
                -- Name by name and priority by priority: neither the backlog of a full queue is
                -- looked at, nor what is due tomorrow.
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
            """,
            [kind.name for kind in kinds],
            [kind.queue for kind in kinds],
            [kind.max_attempts for kind in kinds],
            [kind.priority for kind in kinds],
            *_columns(gaps),
            *_columns(levels),
            BATCH,
            PUBLISHED_LEASE_SECONDS,
        )
        self.has_more = self.has_more or len(rows) == BATCH
        rows.sort(key=lambda row: (-row["priority"], row["available_at"]))
        try:
            if rows:
                self._send_all(rows)
        except self._broker_errors as error:
            self.has_more = False
            self._waiting = None
            self.close()
            # What of it had arrived is published twice, which is harmless.
            await self._unmark([row["id"] for row in rows])
            raise BrokerAway(str(error)) from error
        for row in rows:
            waiting[row["queue"]] += 1
            self._levels.published(row["name"], row["level"], row["available_at"])
        if len(rows) < BATCH:
            self._levels.exhausted((kind.name for kind in kinds), self._counted_at)
            self._waiting = None
        return len(rows)

    async def _count_published(self) -> Counter[str]:
        """Count what is published and not claimed, by queue.

        What is published later has a later lease: the count starts at the first lease that it found
        last, and once a second at the first of all.
        """
        if time.monotonic() - self._scanned_all_at >= TEND_SECONDS:
            self._scan_all()
        counted = await self.connection.fetch(
            f"""
            SELECT now() AS at, queue, unclaimed,
                   coalesce(first_lease, now() + make_interval(secs => $2)) AS first_lease
            FROM (SELECT) AS once LEFT JOIN (
                SELECT queue, count(*) AS unclaimed, min(lease_until) AS first_lease FROM tasks
                WHERE state IN ('queued', 'running') AND {_IS_QUEUED}
                  AND lease_until >= greatest(now(), $1::timestamptz)
                GROUP BY queue
            ) AS counted ON TRUE
            """,  # noqa: S608  a constant
            self._leases_from,
            PUBLISHED_LEASE_SECONDS,
        )
        self._counted_at = counted[0]["at"]
        self._leases_from = min(row["first_lease"] for row in counted) - LATE_COMMIT
        return Counter({row["queue"]: row["unclaimed"] for row in counted if row["unclaimed"]})

    def _scan_all(self) -> None:
        self._scanned_all_at = time.monotonic()
        self._leases_from = None
        self._levels.scan_all()

    def _still_stuffed(self, room: set[str]) -> frozenset[str]:
        """Return the queues whose messages outlived their leases, for nobody serves them.

        Published again and again, these would fill the broker. Those of a busy queue are gone when
        its rows leave room, so the broker is asked again before a queue is passed over.
        """
        if room & self._stuffed and time.monotonic() >= self._ask_at:
            self._note(self._depths())
            self._ask_at = time.monotonic() + TEND_SECONDS
        return self._stuffed

    def _note(self, depths: dict[str, int]) -> None:
        self._stuffed = frozenset(queue for queue, size in depths.items() if size >= WINDOW)

    def _send_all(self, rows: list[asyncpg.Record]) -> None:
        """Send a batch: in one round trip where the broker has a way to, else one by one."""
        if self._producer is None:
            options = self.celery.conf.broker_transport_options
            # kombu sends no batch where the client might send it a second time by itself.
            once = {"retry_on_timeout": False} if "retry_on_timeout" in options else {}
            link = self.celery.connection_for_write(transport_options=once)
            self._producer = self.celery.amqp.Producer(link, auto_declare=False)
        with self._producer.batch():
            for row in rows:
                self._send(row)

    def _send(self, row: asyncpg.Record) -> None:
        # The arguments go along for Flower to show; the worker reads them from the row.
        self.celery.send_task(
            row["name"],
            task_id=str(row["id"]),
            queue=row["queue"],
            argsrepr="()",
            kwargsrepr=row["args"],
            retry=False,
            producer=self._producer,
        )

    async def _unmark(self, ids: list[object]) -> None:
        await self.connection.execute(
            "UPDATE tasks SET published_at = NULL, lease_until = NULL "  # noqa: S608  a constant
            f"WHERE id = ANY($1) AND {_IS_QUEUED}",
            ids,
        )

    async def sweep(self) -> int:
        """Take back the tasks whose worker let the lease lapse; return how many."""
        rows = await self.connection.fetch(
            f"""
            UPDATE tasks SET {ended_attempt("attempts >= max_attempts")}, error = $1
            WHERE id IN (
                SELECT id FROM tasks WHERE state = 'running' AND lease_until < now()
                FOR UPDATE SKIP LOCKED)
            RETURNING id, name, state, attempts, worker
            """,  # noqa: S608  a constant of services.leases
            LOST_WORKER,
        )
        for row in rows:
            log.warning("task_lost_its_worker", **{key: str(row[key]) for key in row.keys()})  # noqa: SIM118
        return len(rows)

    async def recover(self) -> int:
        """Publish again what the broker evidently lost: it waits for none, we for some.

        Returns:
            How many are due again.

        """
        depths = self._depths()
        self._note(depths)
        self._ask_at = 0.0
        empty = [queue for queue, size in depths.items() if size == 0]
        status = await self.connection.execute(
            """
            UPDATE tasks SET published_at = NULL, lease_until = NULL
            WHERE state = 'queued' AND lease_until >= now() AND queue = ANY($1::text[])
              AND published_at < now() - make_interval(secs => $2)
            """,
            empty,
            LOST_AFTER_SECONDS,
        )
        lost = int(status.split()[-1])
        self._scan_all()
        if lost:
            log.warning("broker_lost_tasks", tasks=lost)
        return lost

    def _depths(self) -> dict[str, int]:
        """Ask the broker how many messages wait in each queue."""
        queues = {kind.queue for kind in self.registry.values()}
        broker = self.celery.connection_for_write()
        try:
            with broker:
                broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
                channel = broker.default_channel
                return {
                    queue: channel.queue_declare(
                        queue, durable=True, auto_delete=False
                    ).message_count
                    for queue in queues
                }
        # A transport's own errors: kombu translates them where it publishes, and not here.
        except (OperationalError, *broker.connection_errors, *broker.channel_errors) as error:
            self.has_more = False
            raise BrokerAway(str(error)) from error

    async def schedule(self) -> None:
        """Enqueue each periodic task once a slot, whoever is first: its schedule keeps the slot."""
        now = await self.connection.fetchval("SELECT extract(epoch FROM now())::float8")
        for kind in self.registry.values():
            if not kind.every:
                continue
            slot = int(now // kind.every)
            if self._slots.get(kind.name) == slot:
                continue
            await self.connection.execute(
                # One that waits or runs stands for the slots that pass meanwhile. The id is what
                # relays of a release without schedules give it.
                """
                WITH served AS (
                    INSERT INTO task_schedules AS schedule (name, last_slot)
                    VALUES ($2, to_timestamp($3))
                    ON CONFLICT (name) DO UPDATE SET last_slot = excluded.last_slot
                    WHERE schedule.last_slot < excluded.last_slot
                    RETURNING name
                )
                INSERT INTO tasks (id, name, args, dedupe_key)
                SELECT $1, name, '{}', name FROM served
                ON CONFLICT DO NOTHING
                """,
                uuid5(NAMESPACE_OID, f"{kind.name}@{slot}"),
                kind.name,
                slot * kind.every,
            )
            self._slots[kind.name] = slot

    async def _show_alive(self) -> None:
        """Look after the broker now and then; hold the lock that `/health` looks for meanwhile."""
        if time.monotonic() - self._probed_at < PROBE_SECONDS:
            return
        self._probed_at = time.monotonic()
        await self.recover()
        if not self._alive:
            await self.connection.execute("SELECT pg_advisory_lock_shared($1)", ALIVE_LOCK)
            self._alive = True

    async def release_liveness_lock(self) -> None:
        """Let the lock go: tasks wait, for the broker is away."""
        if self._alive:
            await self.connection.execute("SELECT pg_advisory_unlock_shared($1)", ALIVE_LOCK)
            self._alive = False
        self._probed_at = 0.0


def _columns(records: Sequence[tuple[object, object, object]]) -> list[list[object]]:
    """Return the three columns of records, as `unnest` takes them."""
    return [[record[place] for record in records] for place in range(3)]
