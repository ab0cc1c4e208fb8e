"""Routes long reads to the replica while its lag can't be observed.

A loop compares the position of the primary's WAL with what the replica has replayed. A read goes to
the replica only if that has all commits of less than a second ago and all writes of this instance.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from tortoise import BaseDBAsyncClient

from infra.aio.periodic import periodic
from infra.cache.shared import Shared
from infra.db import engine
from infra.observability import logs

POLL_SECONDS = 0.25
PAUSE_SECONDS = 5.0
FRESH_NANOSECONDS = 900_000_000
_WAL_POSITION = "SELECT pg_current_wal_lsn()::text AS position"
# A server that is not in recovery is no replica, so its lag is unknown.
_HAS_REPLAYED = """
    SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= $1::text::pg_lsn AS has_replayed
"""

T = TypeVar("T")

log = logs.get_logger(__name__)


class ReplicaRouter:
    """Chooses the server for long lists."""

    def __init__(self, shared: Shared, replica: BaseDBAsyncClient | None = None) -> None:
        self._shared = shared
        self._replica = replica
        # The replica has all commits until this time (monotonic, nanoseconds).
        self._complete_until = 0

    async def read(self, query: Callable[[BaseDBAsyncClient], Awaitable[T]]) -> T:
        """Run the query on the replica if that is complete, else on the primary."""
        if self._replica and self.is_complete:
            try:
                return await query(self._replica)
            except engine.UNUSABLE as error:
                log.warning("replica_failed", error=repr(error))
                self._complete_until = 0
        return await query(engine.primary())

    @property
    def is_complete(self) -> bool:
        """Whether the replica has all that a reader may expect."""
        until = self._complete_until
        is_fresh = time.monotonic_ns() - until < FRESH_NANOSECONDS
        return is_fresh and self._shared.wrote_at < until

    def wrote(self) -> None:
        """Note that this instance has written; called before the response of the write."""
        self._shared.note_write()

    async def follow(self) -> None:
        """Compare the two servers until cancelled; without a replica, return."""
        if self._replica:
            await periodic(POLL_SECONDS, partial(self._try_compare, self._replica))

    async def _try_compare(self, replica: BaseDBAsyncClient) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS * 2):
                await self._compare(replica)
        except engine.UNUSABLE as error:
            log.warning("replica_away", error=repr(error))
            # One line every few seconds while the replica is down.
            await asyncio.sleep(PAUSE_SECONDS)

    async def _compare(self, replica: BaseDBAsyncClient) -> None:
        """Check whether the replica has replayed what the primary has written."""
        now = time.monotonic_ns()
        (written,) = await engine.primary().execute_query_dict(_WAL_POSITION)
        (found,) = await replica.execute_query_dict(_HAS_REPLAYED, [written["position"]])
        if found["has_replayed"]:
            self._complete_until = now
