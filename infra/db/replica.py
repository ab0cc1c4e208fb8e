"""When the replica may be asked in place of the primary: whenever nobody could tell.

It may lag, and then it shows a past that clients were promised not to see. So the primary is asked
four times a second how far it has written, and the replica whether it has come as far. A read goes
there only if all that was committed anywhere until less than a second ago is there, and all that
this instance has written.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tortoise import BaseDBAsyncClient

from infra.cache.shared import Shared
from infra.db import engine
from infra.observability import logs

ASK_SECONDS = 0.25
AWAY_SECONDS = 5.0
FRESH_NANOSECONDS = 900_000_000
_WRITTEN = "SELECT pg_current_wal_lsn()::text AS place"
# Not in recovery, it is no replica, and nothing can be said of how far behind it is.
_HAS_COME = """
    SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= $1::text::pg_lsn AS has_come
"""

T = TypeVar("T")

log = logs.get_logger(__name__)


class ReplicaRouter:
    """Where long lists are read from."""

    def __init__(self, shared: Shared, replica: BaseDBAsyncClient | None = None) -> None:
        self._shared = shared
        self._replica = replica
        # The replica has everything that was committed until then (monotonic, nanoseconds).
        self._complete_until = 0

    async def read(self, query: Callable[[BaseDBAsyncClient], Awaitable[T]]) -> T:
        """Return what the query gives, from the replica if that is as good; else the primary."""
        if self._replica and self.is_complete:
            try:
                return await query(self._replica)
            except engine.UNUSABLE as error:
                log.warning("replica_failed", error=repr(error))
                self._complete_until = 0
        return await query(engine.primary())

    @property
    def is_complete(self) -> bool:
        """Whether the replica has all that a reader may expect to see."""
        until = self._complete_until
        is_fresh = time.monotonic_ns() - until < FRESH_NANOSECONDS
        return is_fresh and self._shared.wrote_at < until

    def wrote(self) -> None:
        """Note that this instance has written: before the write is answered."""
        self._shared.note_write()

    async def follow(self) -> None:
        """Keep asking, until cancelled; without a replica there is nothing to ask."""
        while self._replica:
            try:
                async with asyncio.timeout(ASK_SECONDS * 2):
                    await self._ask(self._replica)
            except engine.UNUSABLE as error:
                log.warning("replica_away", error=repr(error))
                # Not four lines a second while it is away.
                await asyncio.sleep(AWAY_SECONDS)
            await asyncio.sleep(ASK_SECONDS)

    async def _ask(self, replica: BaseDBAsyncClient) -> None:
        """Find out whether the replica has come as far as the primary is now."""
        now = time.monotonic_ns()
        (written,) = await engine.primary().execute_query_dict(_WRITTEN)
        (found,) = await replica.execute_query_dict(_HAS_COME, [written["place"]])
        if found["has_come"]:
            self._complete_until = now
