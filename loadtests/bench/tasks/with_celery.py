"""Plain Celery with late acknowledgement and otherwise its defaults."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from celery import Celery

from loadtests.bench.tasks import stamps

app = Celery(broker=os.environ["BENCH_BROKER_URL"])
app.conf.task_acks_late = True
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True


@app.task
def noop(number: int) -> None:
    """Do nothing."""


@app.task
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
            await loop.run_in_executor(thread, kinds[kind].apply_async, (number,))

        yield send
