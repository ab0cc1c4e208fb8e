"""chancy on PostgreSQL: coroutines in one process, two at once, fetched as soon as one ends.

python -m loadtests.bench.tasks.with_chancy makes its tables.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chancy import Chancy, Queue, job

from loadtests.bench.tasks import stamps

app = Chancy(os.environ["DATABASE_URL"])


@job(queue="default")
async def noop(*, number: int) -> None:
    """Do nothing."""


@job(queue="default")
async def stamp(*, number: int) -> None:
    """Tell when it began."""
    stamps.push(number)


@asynccontextmanager
async def sender(callers: int) -> AsyncIterator[Callable[[str, int], Awaitable[object]]]:
    """Push; chancy takes a connection of its pool for each."""
    del callers
    kinds = {"noop": noop.job, "stamp": stamp.job}

    async def send(kind: str, number: int) -> None:
        await app.push(kinds[kind].with_kwargs(number=number))

    async with app:
        yield send


async def _make_tables() -> None:
    async with app:
        await app.migrate()
        queue = Queue("default", concurrency=2, executor=Chancy.Executor.Async, eager_polling=True)
        await app.declare(queue)


if __name__ == "__main__":
    asyncio.run(_make_tables())
