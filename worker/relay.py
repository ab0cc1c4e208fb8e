"""The relay: carries due tasks from PostgreSQL to the broker, in every worker's main process.

It marks a row with a lease, commits, then publishes. Dying in between, or a broker that forgets,
costs the lease's time and nothing else; publishing twice is harmless because claims are fenced.
"""

import asyncio
import contextlib
import threading
import time
from uuid import NAMESPACE_OID, uuid5

import asyncpg
from celery import Celery
from kombu.exceptions import OperationalError

from infra import logs
from infra.database import direct_connection
from services.leases import BACKOFF, LOST_WORKER
from services.tasks import ALIVE_LOCK, CHANNEL
from tasks.registry import Registration, load_tasks

POLL_SECONDS = 1.0
BATCH = 100
# Published and not yet claimed, all workers together: the backlog waits in the database, where
# priorities still count and nothing is lost.
WINDOW = 1000
PUBLISHED_LEASE_SECONDS = 60.0
RECONNECT_SECONDS = 1.0
PROBE_SECONDS = 5.0

log = logs.get_logger(__name__)


class BrokerAway(Exception):
    """The broker takes no messages"""


class Relay:
    """One connection to the database and one to the broker."""

    def __init__(
        self, connection: asyncpg.Connection, celery: Celery, registry: dict[str, Registration]
    ) -> None:
        self._connection = connection
        self._celery = celery
        self._registry = registry
        self._slots: dict[str, int] = {}
        self._probed_at = 0.0
        self._alive = False

    async def run_once(self) -> int:
        """Sweep, enqueue what is scheduled, publish what is due; return how many were published."""
        await self.sweep()
        await self.schedule()
        published = await self.publish()
        await self._show_alive()
        return published

    async def publish(self) -> int:
        """Publish a batch of due tasks, the highest priority first.

        Raises:
            BrokerAway: what was not published is due again.

        """
        rows = await self._connection.fetch(
            """
            WITH due AS (
                SELECT id FROM tasks
                WHERE state = 'queued' AND available_at <= now()
                  AND (published_at IS NULL OR lease_until < now())
                  AND NOT cancel_requested
                  AND name = ANY($1::text[])
                ORDER BY priority DESC, available_at
                LIMIT least($2, $3 - (
                    SELECT count(*) FROM tasks
                    WHERE state = 'queued' AND lease_until >= now()))
                FOR UPDATE SKIP LOCKED
            ), kinds AS (
                SELECT * FROM unnest($1::text[], $4::text[], $5::int[])
                    AS kinds (name, queue, max_attempts)
            )
            UPDATE tasks
            SET published_at = now(), lease_until = now() + make_interval(secs => $6),
                queue = kinds.queue, max_attempts = coalesce(tasks.max_attempts, kinds.max_attempts)
            FROM due, kinds
            WHERE tasks.id = due.id AND kinds.name = tasks.name
            RETURNING tasks.id, tasks.name, tasks.queue, tasks.priority, tasks.available_at,
                      tasks.args
            """,
            list(self._registry),
            BATCH,
            WINDOW,
            [kind.queue for kind in self._registry.values()],
            [kind.max_attempts for kind in self._registry.values()],
            PUBLISHED_LEASE_SECONDS,
        )
        rows.sort(key=lambda row: (-row["priority"], row["available_at"]))
        for done, row in enumerate(rows):
            try:
                self._send(row)
            except (OperationalError, OSError) as error:
                await self._unmark([row["id"] for row in rows[done:]])
                raise BrokerAway(str(error)) from error
        return len(rows)

    def _send(self, row: asyncpg.Record) -> None:
        # The arguments go along for Flower to show; the worker reads them from the row.
        self._celery.send_task(
            row["name"],
            task_id=str(row["id"]),
            queue=row["queue"],
            argsrepr="()",
            kwargsrepr=row["args"],
            retry=False,
        )

    async def _unmark(self, ids: list[object]) -> None:
        await self._connection.execute(
            "UPDATE tasks SET published_at = NULL, lease_until = NULL "
            "WHERE id = ANY($1) AND state = 'queued'",
            ids,
        )

    async def sweep(self) -> int:
        """Take back the tasks whose worker let the lease lapse; return how many."""
        rows = await self._connection.fetch(
            f"""
            UPDATE tasks
            SET state = CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'queued' END,
                finished_at = CASE WHEN attempts >= max_attempts THEN now() END,
                available_at = now() + {BACKOFF},
                published_at = NULL, lease_until = NULL, error = $1
            WHERE id IN (
                SELECT id FROM tasks WHERE state = 'running' AND lease_until < now()
                FOR UPDATE SKIP LOCKED)
            RETURNING id, name, state, attempts
            """,  # noqa: S608  a constant of services.leases
            LOST_WORKER,
        )
        for row in rows:
            log.warning("task_lost_its_worker", **{key: str(row[key]) for key in row.keys()})  # noqa: SIM118
        return len(rows)

    async def schedule(self) -> None:
        """Enqueue each periodic task once a slot: the id is made of both, so the first one wins."""
        now = await self._connection.fetchval("SELECT extract(epoch FROM now())::float8")
        for kind in self._registry.values():
            slot = int(now // kind.every) if kind.every else None
            if slot is None or self._slots.get(kind.name) == slot:
                continue
            await self._connection.execute(
                "INSERT INTO tasks (id, name, args) VALUES ($1, $2, '{}') ON CONFLICT DO NOTHING",
                uuid5(NAMESPACE_OID, f"{kind.name}@{slot}"),
                kind.name,
            )
            self._slots[kind.name] = slot

    async def _show_alive(self) -> None:
        """Hold the lock that `/health` looks for, while the broker answers."""
        if time.monotonic() - self._probed_at < PROBE_SECONDS:
            return
        self._probed_at = time.monotonic()
        try:
            with self._celery.connection_for_write() as broker:
                broker.ensure_connection(max_retries=1, timeout=3)
        except (OperationalError, OSError) as error:
            raise BrokerAway(str(error)) from error
        if not self._alive:
            await self._connection.execute("SELECT pg_advisory_lock_shared($1)", ALIVE_LOCK)
            self._alive = True

    async def show_gone(self) -> None:
        """Let the lock go: tasks wait, for the broker is away."""
        if self._alive:
            await self._connection.execute("SELECT pg_advisory_unlock_shared($1)", ALIVE_LOCK)
            self._alive = False
        self._probed_at = 0.0


async def relay_forever(url: str, celery: Celery, stopping: asyncio.Event) -> None:
    """Relay on every notification and at least once a second, whatever goes away in between."""
    while not stopping.is_set():
        try:
            async with direct_connection(url) as connection:
                await _relay_on(connection, celery, stopping)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("relay_lost_database", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RECONNECT_SECONDS)


async def _relay_on(
    connection: asyncpg.Connection, celery: Celery, stopping: asyncio.Event
) -> None:
    woken = asyncio.Event()
    await connection.add_listener(CHANNEL, lambda *_: woken.set())
    relay = Relay(connection, celery, load_tasks())
    while not stopping.is_set():
        woken.clear()
        published = 0
        try:
            published = await relay.run_once()
        except BrokerAway as error:
            log.warning("relay_lost_broker", error=str(error))
            await relay.show_gone()
        if published < BATCH:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_first(woken, stopping), POLL_SECONDS)


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()


class RelayThread(threading.Thread):
    """The relay's event loop beside Celery's consumer."""

    def __init__(self, url: str, celery: Celery) -> None:
        super().__init__(name="relay", daemon=True)
        self._url = url
        self._celery = celery
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self) -> None:
        """Relay until stopped."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(relay_forever(self._url, self._celery, self._stopping))
        self._loop.close()

    def stop(self) -> None:
        """Stop after the batch at hand."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.join(timeout=5)
