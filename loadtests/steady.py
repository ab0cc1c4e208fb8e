"""Sends requests at a steady rate, whether earlier ones are answered or not."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

# An endless supply; each is created when it is due.
Requests = Iterator[Coroutine[Any, Any, None]]


@asynccontextmanager
async def sending(requests: Requests, rate: float) -> AsyncIterator[None]:
    """Send so many a second during the block; all have their outcome after it."""
    running = asyncio.create_task(_send(requests, rate))
    try:
        yield
    finally:
        running.cancel()
        await running


async def _send(requests: Requests, rate: float) -> None:
    now = asyncio.get_running_loop().time
    began = now()
    async with asyncio.TaskGroup() as under_way:
        try:
            for number in itertools.count():
                await asyncio.sleep(began + number / rate - now())
                under_way.create_task(next(requests))
        except asyncio.CancelledError:
            pass  # the group waits for the requests under way
