"""What others change in the database, as a process hears of it: LISTEN, and a poll twice a second.

A notification can be lost with its connection and a pooler forwards none, so the poll is what
counts and the notification only makes it sooner.
"""

import asyncio
from typing import Any, Protocol

import asyncpg

from infra.db.engine import direct_connection
from infra.db.transactions import BROKEN
from infra.observability import logs

POLL_SECONDS = 0.5

log = logs.get_logger(__name__)


class Subscriber(Protocol):
    """Something that a process keeps in step with the database."""

    @property
    def channel(self) -> str | None:
        """The channel to LISTEN on, if there is one."""

    def hear(self, payload: str) -> None:
        """Take a notification of the channel."""

    async def poll(self, connection: Any, *, is_first: bool) -> None:
        """Ask for what changed lately; the first time on a connection, for all."""


class DatabaseFeed:
    """One connection for all subscribers of a process."""

    def __init__(self, url: str, *subscribers: Subscriber) -> None:
        self._url = url
        self._subscribers = subscribers

    async def follow(self) -> None:
        """Keep the subscribers in step until cancelled, whatever goes away in between."""
        while True:
            try:
                async with direct_connection(self._url) as connection:
                    await self._follow(connection)
            except BROKEN as error:
                log.warning("feed_lost_database", error=str(error))
            except Exception:
                # Without the feed, what a process remembers is never corrected.
                log.exception("feed_failed")
            await asyncio.sleep(POLL_SECONDS)

    async def _follow(self, connection: asyncpg.Connection) -> None:
        for subscriber in self._subscribers:
            if subscriber.channel:
                await connection.add_listener(subscriber.channel, _hearing(subscriber))
        is_first = True
        while True:
            for subscriber in self._subscribers:
                await subscriber.poll(connection, is_first=is_first)
            is_first = False
            await asyncio.sleep(POLL_SECONDS)


def _hearing(subscriber: Subscriber) -> Any:
    def hear(*notification: object) -> None:
        subscriber.hear(str(notification[-1]))

    return hear
