"""PgQueuer on PostgreSQL: two tasks at once, and otherwise its defaults."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job

from loadtests.bench.tasks import stamps


@asynccontextmanager
async def worker() -> AsyncIterator[PgQueuer]:
    """Have the two kinds on a connection."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    queuer = PgQueuer(AsyncpgDriver(connection))

    @queuer.entrypoint("noop")
    async def noop(_job: Job) -> None:
        """Do nothing."""

    @queuer.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        """Tell when it began."""
        stamps.push(int(job.payload or b""))

    try:
        yield queuer
    finally:
        await connection.close()


@asynccontextmanager
async def sender(callers: int) -> AsyncIterator[Callable[[str, int], Awaitable[object]]]:
    """Enqueue on a connection of a pool for each caller."""
    pool = asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=callers, max_size=callers)
    async with pool, AsyncpgPoolDriver(pool) as driver:
        queries = Queries(driver)

        async def send(kind: str, number: int) -> None:
            await queries.enqueue(kind, str(number).encode())

        yield send
