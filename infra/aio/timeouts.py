"""A timeout with grace for a busy event loop.

A busy loop handles the timer and the response in the same iteration. Without grace it would report
a timeout although the server has responded.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# A timer that fires so late shows that the event loop was busy.
LATE_SECONDS = 0.005


@asynccontextmanager
async def timeout_with_grace(seconds: float) -> AsyncIterator[None]:
    """Bound the block; extend the bound by half, once, if the timer fires late.

    Raises:
        TimeoutError: the time is over.

    """
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    async with asyncio.timeout(None) as bound:

        def end(due: float, grace: float) -> None:
            if grace and loop.time() - due > LATE_SECONDS:
                timers.append(loop.call_later(grace, end, loop.time() + grace, 0.0))
            else:
                bound.reschedule(loop.time())

        timers.append(loop.call_later(seconds, end, loop.time() + seconds, seconds / 2))
        try:
            yield
        finally:
            timers[-1].cancel()
