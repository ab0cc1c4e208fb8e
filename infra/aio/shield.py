"""Runs work to its end even if its caller is cancelled or the process stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# A stopping process waits so long for the work.
DRAIN_SECONDS = 3.0

_running: set[asyncio.Task[Any]] = set()


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run the work in its own task, wait for its end, and return its result or raise its error.

    Raises:
        CancelledError: the caller was cancelled; the work has ended nevertheless.

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
    """Wait for the work that still runs in this process, at most `DRAIN_SECONDS`."""
    if _running:
        await asyncio.wait(_running, timeout=DRAIN_SECONDS)
