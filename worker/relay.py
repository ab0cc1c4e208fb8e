"""The relay: sends due tasks to the broker, in every worker's main process (docs/tasks.md)."""

import time
from collections import Counter
from collections.abc import Collection

import asyncpg
from celery import Celery
from kombu.exceptions import BatchPublishError, OperationalError
from kombu.messaging import Producer

from infra.observability import logs, task_metrics, tracing
from infra.observability.events import Event
from infra.observability.spans import Kind
from infra.queue import publish
from infra.queue.liveness import LivenessLock
from infra.queue.publish import BATCH, DueTasks
from infra.queue.scans import FullScans
from infra.queue.schedule import Scheduler
from infra.queue.sweep import expire, requeue_lost, sweep
from infra.queue.table import origin_of
from tasks.registry import Registration

SWEEP_SECONDS = 1.0
# How long a sweep tries again what another transaction had locked; then the next full one does.
MISSED_SECONDS = 5.0
DEPTHS_SECONDS = 1.0
# So many messages of tasks that were claimed without them may wait in a queue.
SPENT = 50
BROKER_SECONDS = 3.0
PROBE_SECONDS = 5.0

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
        # kombu does not translate RabbitMQ's refusals of passwords or queue properties.
        self._broker_errors = (
            OperationalError,
            BatchPublishError,
            OSError,
            *broker.connection_errors,
            *broker.channel_errors,
        )
        # After `publish`: whether more tasks are due than it published.
        self.has_more = False
        # After `publish`: whether a rate held tasks back, so that they are due again soon.
        self.is_held_back = False
        self._due = DueTasks(connection)
        self._scheduler = Scheduler(connection)
        self._liveness = LivenessLock(connection)
        self._producer: Producer | None = None
        self._swept_at = -SWEEP_SECONDS
        self._full_sweeps = FullScans()
        self._probed_at = 0.0
        # The queues that held a window of messages or more at the last probe.
        self._backlogged: frozenset[str] = frozenset()
        self._look_again_at = 0.0
        # By queue: the messages since its depth was last right, of kinds whose tasks processes also
        # claim without them; and the queues in which too many of these wait.
        self._hints: Counter[str] = Counter()
        self._spent: frozenset[str] = frozenset()

    def close(self) -> None:
        """Drop the connection to the broker in any state."""
        if self._producer is not None:
            self._producer.connection.collect()
            self._producer = None

    async def run_once(self, kinds: Collection[str] = ()) -> int:
        """Publish due tasks; every `SWEEP_SECONDS` sweep and enqueue scheduled tasks.

        `kinds` are as of `publish`.

        Returns:
            How many were published.

        """
        if time.monotonic() - self._swept_at >= SWEEP_SECONDS:
            await self.sweep()
            await self.schedule()
        # Before publishing, because the probe finds the backlogged queues.
        if time.monotonic() - self._probed_at >= PROBE_SECONDS:
            self._probed_at = time.monotonic()
            await self.recover()
            await self._liveness.acquire()
        return await self.publish(kinds)

    async def publish(self, kinds: Collection[str] = ()) -> int:
        """Publish a batch of due tasks, the highest priority first; return how many.

        `kinds` are the names of those of which tasks have become due, if no others can be due.

        Raises:
            BrokerAway: the batch was not published whole, and is due again.

        """
        looked_at = list(self.registry.values())
        if kinds and not self._spent and self._due.resume():
            looked_at = [kind for kind in looked_at if kind.name in kinds]
        queues = {kind.queue for kind in looked_at}
        room = await self._due.queues_with_room(queues)
        self.has_more = room < queues - self._due.paused
        room -= self._still_backlogged(room)
        due = [kind for kind in looked_at if kind.queue in room]
        batch = await self._due.mark(self._without_spent(due))
        self.has_more = self.has_more or len(batch) >= BATCH or bool(self._spent)
        self.is_held_back = self._due.is_held_back
        started = time.monotonic()
        began = time.time_ns()
        try:
            if batch:
                self._send_all(batch)
                task_metrics.publications.observe(time.monotonic() - started, ("ok",))
        except self._broker_errors as error:
            task_metrics.publications.observe(time.monotonic() - started, ("error",))
            _trace(batch, began, "the broker takes no messages")
            self.has_more = False
            self.close()
            # The messages that arrived are published twice, which is harmless.
            await self._due.unmark(batch)
            raise BrokerAway(str(error)) from error
        self._due.published(batch)
        _trace(batch, began)
        return len(batch)

    def _still_backlogged(self, room: set[str]) -> frozenset[str]:
        """Return the queues that no worker serves: their messages have outlived their leases.

        Repeated publishing to them would fill the broker. The depth of a busy queue falls before
        its rows leave room, so the depths are read again before a queue is skipped.
        """
        if room & self._backlogged and time.monotonic() >= self._look_again_at:
            self._note(self._depths())
            self._look_again_at = time.monotonic() + DEPTHS_SECONDS
        return self._backlogged

    def _without_spent(self, kinds: Collection[Registration]) -> list[Registration]:
        """Leave out kinds whose queues hold many messages of tasks that are claimed already.

        Processes that run several tasks at a time claim them from the table. Without a bound their
        messages would delay those of other kinds.
        """
        hinted = {kind.queue for kind in kinds if kind.concurrency_per_process > 1}
        full = {queue for queue in hinted if self._hints[queue] >= SPENT}
        depths = self._depths(full) if full else {}
        spent = {queue for queue in full if depths[queue] - self._due.unclaimed(queue) >= SPENT}
        for queue in full - spent:
            self._hints[queue] = 0
        self._spent = frozenset(spent)
        return [k for k in kinds if k.concurrency_per_process == 1 or k.queue not in spent]

    def _note(self, depths: dict[str, int]) -> None:
        self._backlogged = frozenset(
            queue for queue, size in depths.items() if size >= publish.WINDOW
        )

    def _send_all(self, batch: list[asyncpg.Record]) -> None:
        """Send a batch: in one round trip if the transport supports it, else one by one."""
        if self._producer is None:
            options = self.celery.conf.broker_transport_options
            # kombu sends no batch if its client retries on timeouts by itself.
            once = {"retry_on_timeout": False} if "retry_on_timeout" in options else {}
            link = self.celery.connection_for_write(transport_options=once)
            self._producer = self.celery.amqp.Producer(link, auto_declare=False)
        with self._producer.batch():
            for row in batch:
                self._send(row)
        self._hints.update(
            row["queue"] for row in batch if self.registry[row["name"]].concurrency_per_process > 1
        )

    def _send(self, row: asyncpg.Record) -> None:
        # As `send_task`, without its routes and results. The arguments are for Flower only: the
        # worker reads them from the row.
        amqp, name = self.celery.amqp, row["name"]
        message = amqp.create_task_message(
            str(row["id"]), name, argsrepr="()", kwargsrepr=row["args"], ignore_result=True
        )
        amqp.send_task_message(self._producer, name, message, queue=row["queue"], retry=False)

    async def sweep(self) -> int:
        """Take back tasks with lapsed leases; return how many. Cancel those that are too late."""
        now = time.monotonic()
        within = None if self._full_sweeps.begin() else now - self._swept_at + MISSED_SECONDS
        swept = await sweep(self.connection, self.registry.values(), within)
        await expire(self.connection, within)
        self._full_sweeps.end()
        self._swept_at = now
        return swept

    async def schedule(self) -> None:
        """Enqueue the scheduled tasks whose slot has begun."""
        await self._scheduler.enqueue_due(self.registry.values())

    async def recover(self) -> int:
        """Make lost messages due again: their tasks are published, but the queue is empty.

        Returns:
            How many are due again.

        """
        depths = self._depths()
        self._note(depths)
        self._look_again_at = 0.0
        empty = [queue for queue, size in depths.items() if size == 0]
        lost = await requeue_lost(self.connection, empty)
        if lost:
            self._due.scan_all()
            log.warning(Event.BROKER_LOST_TASKS, tasks=lost)
        return lost

    def _depths(self, queues: Collection[str] = ()) -> dict[str, int]:
        """Return how many messages wait in these queues of the broker, or in all."""
        queues = queues or {kind.queue for kind in self.registry.values()}
        broker = self.celery.connection_for_write()
        started = time.monotonic()
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
        # kombu does not translate a transport's own errors here.
        except (OperationalError, *broker.connection_errors, *broker.channel_errors) as error:
            # While the broker is away no batch is sent, so this is what shows that it is.
            task_metrics.publications.observe(time.monotonic() - started, ("error",))
            self.has_more = False
            raise BrokerAway(str(error)) from error

    async def release_liveness_lock(self) -> None:
        """Release the lock that `/health` checks, because the broker is away."""
        await self._liveness.release()
        self._probed_at = 0.0


def _trace(batch: Collection[asyncpg.Record], began: int, error: str | None = None) -> None:
    """Record the publication of each task that was enqueued in a trace."""
    if tracing.tracer is None:
        return
    for row in batch:
        if (origin := origin_of(row, is_first=row["attempts"] == 0)) is None:
            continue
        about = {"app.task_id": str(row["id"])}
        if row["request_id"]:
            about["app.request_id"] = row["request_id"]
        with tracing.span(
            f"publish {row['name']}", Kind.PRODUCER, about, origin=origin, since=began
        ):
            tracing.annotate({}, error)
