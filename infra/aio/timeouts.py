"""A timeout in which the lateness of the own event loop does not count.

A busy loop meets the end of the time and the response at once, and would take a server that
responded for one that is down.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# A timer that fires so much later than it was due shows that the event loop was busy.
LATE_SECONDS = 0.005


@asynccontextmanager
async def timeout_with_grace(seconds: float) -> AsyncIterator[None]:
    """Bound the block; extend the bound by half, once, if the loop was late when it ended.

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
