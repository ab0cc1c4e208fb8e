"""A bound on the wait for somebody else, in which our own lateness does not count.

A busy event loop meets the end of the time and the answer at once, and would take a server that
answered for one that is away, just when the database has no room for its work.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# A timer that comes so much later than it was due shows that the event loop was busy.
LATE_SECONDS = 0.005


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """Bound the block; half of the time again, once, if the loop was late when it was over.

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
