"""Our tasks: the two kinds, found by their entry point, and how the API would enqueue them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from infra.db.engine import database
from infra.db.transactions import transaction
from infra.queue.enqueue import enqueue
from loadtests.bench.tasks import stamps
from tasks.registry import TaskContext, task

# So many of each run at a time in a process.
AT_ONCE = int(os.environ.get("BENCH_AT_ONCE", "1"))


@task("bench.noop", concurrency_per_process=AT_ONCE)
async def noop(_context: TaskContext, number: int) -> None:
    """Do nothing."""


@task("bench.stamp", concurrency_per_process=AT_ONCE)
async def stamp(_context: TaskContext, number: int) -> None:
    """Tell when it began."""
    stamps.push(number)


@asynccontextmanager
async def sender(callers: int) -> AsyncIterator[Callable[[str, int], Awaitable[object]]]:
    """Enqueue each task in a transaction of its own."""

    async def send(kind: str, number: int) -> None:
        async with transaction():
            await enqueue(f"bench.{kind}", {"number": number})

    async with database(os.environ["DATABASE_URL"], pool_size=callers):
        yield send
