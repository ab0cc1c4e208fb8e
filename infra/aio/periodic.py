"""Work that a process repeats until it ends."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from inspect import isawaitable

from infra.observability import logs
from infra.observability.events import Event

JITTER = 0.1

log = logs.get_logger(__name__)


async def periodic(seconds: float, work: Callable[[], Awaitable[object] | None]) -> None:
    """Run the work after each pause until cancelled; log its errors and go on.

    Each pause is shorter by up to a tenth, so that processes do not work in step.
    """
    while True:
        await asyncio.sleep(seconds * random.uniform(1 - JITTER, 1))  # noqa: S311  no secret
        try:
            running = work()
            if isawaitable(running):
                await running
        except Exception:
            log.exception(Event.PERIODIC_WORK_FAILED)
