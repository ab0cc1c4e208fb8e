"""Follows changes that other processes make in the database, by LISTEN and by polling.

A notification can be lost with its connection, and a pooler forwards none. So correctness rests on
the poll; a notification only makes it sooner.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from infra.db.engine import direct_connection, look_for_primary
from infra.db.transactions import BROKEN
from infra.observability import logs
from infra.observability.events import Event

POLL_SECONDS = 0.5
LEAST_SECONDS = 0.02
# A server that does not answer a poll for so long is left: another one may be the primary.
ANSWER_SECONDS = 2.0
# Without an answer for so long, the feed looks whether another one is.
LOOK_SECONDS = 0.5

log = logs.get_logger(__name__)


class Subscriber:
    """State of a process that follows a part of the database; `channel` is to LISTEN on."""

    channel: str | None = None

    def on_notification(self, payload: str) -> None:
        """Handle a notification of the channel; the feed polls after it in any case."""

    async def poll(self, connection: Any, *, is_first: bool) -> None:
        """Read the latest changes; on the first poll of a connection, all of them."""
        raise NotImplementedError


class DatabaseFeed:
    """One connection for some subscribers of a process, polled each `seconds`."""

    def __init__(self, url: str, *subscribers: Subscriber, seconds: float = POLL_SECONDS) -> None:
        self._url = url
        self._subscribers = subscribers
        self._seconds = seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Poll soon, as after a notification."""
        self._woken.set()

    async def follow(self) -> None:
        """Follow the database until cancelled; reconnect after errors."""
        while True:
            try:
                async with direct_connection(self._url, ANSWER_SECONDS) as connection:
                    await self._follow(connection)
            except BROKEN as error:
                log.warning(Event.FEED_LOST_DATABASE, error=str(error))
            except Exception:
                # The loop must go on: without it, the state of the subscribers is never corrected.
                log.exception(Event.FEED_FAILED)
            await asyncio.sleep(self._seconds / 2)

    async def _follow(self, connection: asyncpg.Connection) -> None:
        connection.add_termination_listener(lambda _: self.wake())
        for subscriber in self._subscribers:
            if subscriber.channel:
                await connection.add_listener(subscriber.channel, self._listener(subscriber))
        is_first = True
        while True:
            self._woken.clear()
            async with self._looking():
                for subscriber in self._subscribers:
                    await subscriber.poll(connection, is_first=is_first)
            is_first = False
            # Of many changes in a row each would otherwise cost a poll.
            await asyncio.sleep(LEAST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds - LEAST_SECONDS):
                    await self._woken.wait()

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[None]:
        """Look for the primary while the block takes long; the move to another one ends it."""
        look = asyncio.create_task(self._look())
        try:
            yield
        finally:
            look.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await look_for_primary(self._url, LOOK_SECONDS)

    def _listener(self, subscriber: Subscriber) -> Any:
        def on_notification(*notification: object) -> None:
            subscriber.on_notification(str(notification[-1]))
            self.wake()

        return on_notification
