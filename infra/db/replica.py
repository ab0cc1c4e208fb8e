"""Routes long reads to a replica while its lag can't be observed.

A loop compares the position of the primary's WAL with what each replica has replayed. A read goes
to a replica only if that has all commits until less than a second ago and all writes of this
instance.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tortoise import BaseDBAsyncClient

from infra.aio.periodic import periodic
from infra.db import engine
from infra.db.change_ring import ChangeRing
from infra.observability import logs
from infra.observability.events import Event

POLL_SECONDS = 0.25
PAUSE_SECONDS = 5.0
FRESH_NANOSECONDS = 900_000_000
_WAL_POSITION = "SELECT pg_current_wal_lsn()::text AS position"
# A server that is not in recovery is no replica, so its lag is unknown. One that does not stream
# may have replayed what the primary has lost in a failover.
_HAS_REPLAYED = """
    SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver)
        AND pg_last_wal_replay_lsn() >= $1::text::pg_lsn AS has_replayed
"""

T = TypeVar("T")

log = logs.get_logger(__name__)


class Replica:
    """A server that may lag, and until when it has all commits."""

    def __init__(self, source: BaseDBAsyncClient) -> None:
        self.source = source
        # Monotonic, nanoseconds.
        self.complete_until = 0

    async def follow(self) -> None:
        """Compare the server with the primary until cancelled."""
        await periodic(POLL_SECONDS, self._try_compare)

    async def _try_compare(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS * 2):
                await self._compare()
        except engine.UNUSABLE as error:
            log.warning(Event.REPLICA_AWAY, error=repr(error))
            # One line every few seconds while the replica is down.
            await asyncio.sleep(PAUSE_SECONDS)

    async def _compare(self) -> None:
        """Check whether the replica has replayed what the primary has written."""
        now = time.monotonic_ns()
        (written,) = await engine.primary().execute_query_dict(_WAL_POSITION)
        (found,) = await self.source.execute_query_dict(_HAS_REPLAYED, [written["position"]])
        if found["has_replayed"]:
            self.complete_until = now


class ReplicaRouter:
    """Chooses the server for long lists."""

    def __init__(self, change_ring: ChangeRing, replicas: Sequence[BaseDBAsyncClient] = ()) -> None:
        self._change_ring = change_ring
        self._replicas = [Replica(source) for source in replicas]

    async def read(self, query: Callable[[BaseDBAsyncClient], Awaitable[T]]) -> T:
        """Run the query on a replica that is complete, else on the primary."""
        if complete := [each for each in self._replicas if self._is_complete(each)]:
            replica = random.choice(complete)  # noqa: S311  no secret
            try:
                return await query(replica.source)
            except engine.UNUSABLE as error:
                log.warning(Event.REPLICA_FAILED, error=repr(error))
                replica.complete_until = 0
        return await query(engine.primary())

    def _is_complete(self, replica: Replica) -> bool:
        """Return whether the replica has all that a reader may expect."""
        until = replica.complete_until
        is_fresh = time.monotonic_ns() - until < FRESH_NANOSECONDS
        return is_fresh and self._change_ring.wrote_at < until

    def wrote(self) -> None:
        """Note that this instance has written; called before the response of the write."""
        self._change_ring.note_write()

    async def follow(self) -> None:
        """Compare the servers until cancelled; without a replica, return."""
        await asyncio.gather(*(replica.follow() for replica in self._replicas))
