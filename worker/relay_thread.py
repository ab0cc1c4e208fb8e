"""The relay's own event loop, in a thread of the worker's main process."""

import asyncio
import contextlib
import threading
from typing import Any

import asyncpg
from celery import Celery

from infra.aio.periodic import periodic
from infra.db.engine import direct_connection
from infra.db.transactions import BROKEN
from infra.observability import logs, metrics
from infra.observability.events import Event
from infra.queue.publish import BATCH, PLANNER
from infra.queue.table import CHANNEL
from tasks.registry import load_tasks
from worker.relay import BrokerAway, Relay

POLL_SECONDS = 1.0
RECONNECT_SECONDS = 1.0
# Bounds a statement if the server is gone without closing the connection.
STATEMENT_SECONDS = 10.0
# The interval of refilling a full window: workers send no notification when they claim.
REFILL_SECONDS = 0.1
# Maximum delay of the metrics that the main process sends.
FLUSH_SECONDS = 0.1

log = logs.get_logger(__name__)


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
        """Stop after the current batch."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.join(timeout=5)


async def relay_forever(url: str, celery: Celery, stopping: asyncio.Event) -> None:
    """Relay on every notification and at least once a second; reconnect after every failure."""
    flushing = asyncio.create_task(periodic(FLUSH_SECONDS, metrics.flush))
    try:
        await _keep_relaying(url, celery, stopping)
    finally:
        flushing.cancel()
        metrics.flush()


async def _keep_relaying(url: str, celery: Celery, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            async with direct_connection(url, STATEMENT_SECONDS, PLANNER) as connection:
                await _relay_on(connection, celery, stopping)
        except BROKEN as error:
            log.warning(Event.RELAY_LOST_DATABASE, error=str(error))
        except Exception:
            # Caught, so that the relay goes on: a worker without one looks healthy.
            log.exception(Event.RELAY_FAILED)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), RECONNECT_SECONDS)


async def _relay_on(
    connection: asyncpg.Connection, celery: Celery, stopping: asyncio.Event
) -> None:
    woken = asyncio.Event()
    notified: set[str] = set()

    def wake(*notification: Any) -> None:
        notified.add(notification[-1])
        woken.set()

    await connection.add_listener(CHANNEL, wake)
    with contextlib.closing(Relay(connection, celery, load_tasks())) as relay:
        while not stopping.is_set():
            woken.clear()
            kinds = frozenset() if "" in notified else frozenset(notified)
            notified.clear()
            published = 0
            try:
                published = await relay.run_once(kinds)
            except BrokerAway as error:
                log.warning(Event.RELAY_LOST_BROKER, error=str(error))
                await relay.release_liveness_lock()
            if published >= BATCH:
                continue
            with contextlib.suppress(TimeoutError):
                if relay.has_more:
                    await asyncio.wait_for(stopping.wait(), REFILL_SECONDS)
                else:
                    seconds = REFILL_SECONDS if relay.is_held_back else POLL_SECONDS
                    await asyncio.wait_for(_first(woken, stopping), seconds)


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()
