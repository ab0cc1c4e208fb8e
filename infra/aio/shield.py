"""Work that no cancellation interrupts: its caller waits for the end, and so does the process."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# How long a process that stops waits for it.
DRAIN_SECONDS = 3.0

_running: set[asyncio.Task[Any]] = set()


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run the work to its end in a task of its own, and return its result or raise its error.

    Raises:
        CancelledError: the caller was cancelled meanwhile; the work has ended all the same.

    """
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    raise cancelled from None if task.cancelled() else task.exception()


async def drain() -> None:
    """Wait for the work that still runs in this process, and no longer than `DRAIN_SECONDS`."""
    if _running:
        await asyncio.wait(_running, timeout=DRAIN_SECONDS)
