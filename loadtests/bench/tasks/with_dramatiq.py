"""dramatiq on Valkey, with its defaults."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from loadtests.bench.tasks import stamps

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_BROKER_URL"]))


@dramatiq.actor
def noop(number: int) -> None:
    """Do nothing."""


@dramatiq.actor
def stamp(number: int) -> None:
    """Tell when it began."""
    stamps.push(number)


@asynccontextmanager
async def sender(callers: int) -> AsyncIterator[Callable[[str, int], Awaitable[object]]]:
    """Publish from one thread beside the event loop, which it would block."""
    del callers
    kinds = {"noop": noop, "stamp": stamp}
    with ThreadPoolExecutor(1) as thread:

        async def send(kind: str, number: int) -> None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(thread, kinds[kind].send, number)

        yield send
