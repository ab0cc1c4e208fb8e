"""Runs a task, and others of its kind beside it on the event loop (docs/tasks.md)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from infra.db.engine import UNUSABLE
from infra.observability import logs
from infra.observability.events import Event
from infra.queue.companions import Companions
from infra.queue.leases import Claim

# Companions start until so long after the first task. Then the process returns to Celery, so that
# other kinds get their turn.
TAKING_SECONDS = 5.0
# The interval of looking for more while places are free.
POLL_SECONDS = 0.1

# The run of a claimed task, which returns its state.
Attempt = Awaitable[str | None]

log = logs.get_logger(__name__)


async def run_with_companions(
    first: Attempt,
    companions: Companions,
    places: int,
    attempt_of: Callable[[Claim, int], Attempt],
    may_take: Callable[[], bool],
) -> str | None:
    """Run a task with its companions, at most `places` at a time; return its state.

    Each is a task of the event loop with a context of its own, and ends for itself. All have ended
    afterwards. `attempt_of` is called with a claim and the nanoseconds when it began.

    Raises:
        MemoryError: memory ran out; the process must end, and the leases of the others lapse.

    """
    leader = asyncio.create_task(_run(first))
    running = {leader}
    take_until = time.monotonic() + TAKING_SECONDS
    while running:
        free = places - len(running)
        is_taking = free > 0 and time.monotonic() < take_until and may_take()
        if is_taking:
            began = time.time_ns()
            # Without the database the tasks that run will say so.
            with suppress(*UNUSABLE):
                taken = await companions.claim(free)
                running |= {asyncio.create_task(_run(attempt_of(each, began))) for each in taken}
        is_waiting = is_taking and len(running) < places
        done, running = await asyncio.wait(
            running,
            timeout=POLL_SECONDS if is_waiting else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for each in done:
            if isinstance(error := _error_of(each), MemoryError):
                raise error
            if error is not None and each is not leader:
                log.error(Event.UNCAUGHT_ERROR, exc_info=error)
    return leader.result()


async def _run(attempt: Attempt) -> str | None:
    try:
        return await attempt
    except UNUSABLE as error:
        # The row keeps the state of the task, and its lease lapses.
        log.warning(Event.TASK_LOST_DATABASE, error=str(error))
        return None


def _error_of(ended: asyncio.Task[str | None]) -> BaseException | None:
    return None if ended.cancelled() else ended.exception()
