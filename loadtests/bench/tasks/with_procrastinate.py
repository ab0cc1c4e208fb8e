"""procrastinate on PostgreSQL, with its defaults."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import procrastinate

from loadtests.bench.tasks import stamps

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"])
)


@app.task(name="noop")
async def noop(number: int) -> None:
    """Do nothing."""


@app.task(name="stamp")
async def stamp(number: int) -> None:
    """Tell when it began."""
    stamps.push(number)


@asynccontextmanager
async def sender(callers: int) -> AsyncIterator[Callable[[str, int], Awaitable[object]]]:
    """Defer; procrastinate takes a connection of its pool for each."""
    del callers
    kinds = {"noop": noop, "stamp": stamp}

    async def send(kind: str, number: int) -> None:
        await kinds[kind].defer_async(number=number)

    async with app.open_async():
        yield send
