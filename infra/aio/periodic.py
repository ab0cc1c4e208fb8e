"""Work that is done again and again as long as the process lives."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from infra.observability import logs

JITTER = 0.1

log = logs.get_logger(__name__)


async def periodic(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do the work after each pause, until cancelled; log what it raises and go on.

    The pause is shorter by up to a tenth, so that processes do not work in step.
    """
    while True:
        await asyncio.sleep(seconds * random.uniform(1 - JITTER, 1))  # noqa: S311  no secret
        try:
            await work()
        except Exception:
            log.exception("periodic_work_failed")
