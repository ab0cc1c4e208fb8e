"""How fast a backlog is done: from the first task's start to the last one's end.

Where the system itself writes down the times, they are read afterwards, so measuring costs nothing.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import asyncpg
import redis

POLL_SECONDS = 0.02
TABLE_POLL_SECONDS = 0.5
POOL_WAIT_SECONDS = 120.0


class Meter(Protocol):
    """What the benchmark needs of a system's store."""

    async def clear(self) -> None:
        """Delete all tasks of the benchmark."""

    async def drain(self, count: int) -> float:
        """Wait until this backlog is done; return the tasks a second."""


class TableMeter:
    """A table with the start and end of each task."""

    def __init__(
        self, connection: asyncpg.Connection, *, clear: str, pending: str, seconds: str
    ) -> None:
        self._connection = connection
        self._clear = clear
        self._pending = pending
        self._seconds = seconds

    async def clear(self) -> None:
        """Delete all tasks of the benchmark."""
        for statement in self._clear.split(";"):
            await self._connection.execute(statement)

    async def drain(self, count: int) -> float:
        """Wait until this backlog is done; return the tasks a second."""
        async with asyncio.timeout(POOL_WAIT_SECONDS):
            while await self._connection.fetchval(self._pending):  # noqa: ASYNC110  no event
                await asyncio.sleep(TABLE_POLL_SECONDS)
        return count / float(await self._connection.fetchval(self._seconds))


class BrokerMeter:
    """Keys of a broker that hold the open tasks."""

    def __init__(
        self, broker: redis.Redis, pending: Callable[[redis.client.Pipeline], object]
    ) -> None:
        self._broker = broker
        self._pending = pending

    async def clear(self) -> None:
        """Delete all tasks of the benchmark."""
        self._broker.flushdb()

    async def drain(self, count: int) -> float:
        """Wait until this backlog is done; return the tasks a second."""
        began = time.perf_counter()
        async with asyncio.timeout(POOL_WAIT_SECONDS):
            while pending := self._count():
                if pending >= count:
                    began = time.perf_counter()
                await asyncio.sleep(POLL_SECONDS)
        return count / (time.perf_counter() - began)

    def _count(self) -> int:
        pipeline = self._broker.pipeline()
        self._pending(pipeline)
        return sum(pipeline.execute())


def ours(connection: asyncpg.Connection) -> TableMeter:
    """Return the meter of our table; what it was filled with is older than the rest."""
    return TableMeter(
        connection,
        clear="DELETE FROM tasks WHERE created_at > (SELECT filled_at FROM bench_filled);"
        "VACUUM ANALYZE tasks; CHECKPOINT",
        pending="SELECT EXISTS (SELECT FROM tasks, bench_filled WHERE created_at > filled_at"
        " AND state IN ('queued', 'running') AND name LIKE 'bench.%')",
        seconds="SELECT extract(epoch FROM max(finished_at) - min(started_at))"
        " FROM tasks, bench_filled WHERE created_at > filled_at AND state = 'succeeded'",
    )


def procrastinate(connection: asyncpg.Connection) -> TableMeter:
    """Return the meter of procrastinate's tables."""
    return TableMeter(
        connection,
        clear="TRUNCATE procrastinate_jobs CASCADE; CHECKPOINT",
        pending="SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
        seconds="SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')"
        " - min(at) FILTER (WHERE type = 'started')) FROM procrastinate_events",
    )


def chancy(connection: asyncpg.Connection) -> TableMeter:
    """Return the meter of chancy's table."""
    return TableMeter(
        connection,
        clear="TRUNCATE chancy_jobs; CHECKPOINT",
        pending="SELECT EXISTS (SELECT FROM chancy_jobs WHERE completed_at IS NULL)",
        seconds="SELECT extract(epoch FROM max(completed_at) - min(started_at)) FROM chancy_jobs",
    )


def pgqueuer(connection: asyncpg.Connection) -> TableMeter:
    """Return the meter of PgQueuer's tables: the log has the changes of the status."""
    return TableMeter(
        connection,
        clear="TRUNCATE pgqueuer, pgqueuer_log; CHECKPOINT",
        pending="SELECT EXISTS (SELECT FROM pgqueuer)",
        seconds="SELECT extract(epoch FROM max(created) FILTER (WHERE status = 'successful')"
        " - min(created) FILTER (WHERE status = 'picked')) FROM pgqueuer_log",
    )


def celery(broker: redis.Redis) -> BrokerMeter:
    """Return the meter of Celery's queue and of what was taken and not acknowledged."""
    return BrokerMeter(broker, lambda pipe: (pipe.llen("celery"), pipe.hlen("unacked")))


def dramatiq(broker: redis.Redis) -> BrokerMeter:
    """Return the meter of dramatiq's messages, which stay until acknowledged."""
    return BrokerMeter(broker, lambda pipe: pipe.hlen("dramatiq:default.msgs"))
