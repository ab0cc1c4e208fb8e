"""Renews the lease of a worker process's running task, independently of the task's code.

It sends the process's metrics, too, because no loop runs between two tasks.

The thread has its own event loop and connection, so a task that blocks the process's event loop
keeps its lease. A process that is stopped, or hangs past the task's time limit, loses the lease.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.db.engine import direct_connection
from infra.observability import logs, metrics
from infra.observability.events import Event
from infra.queue import leases
from infra.queue.errors import LeaseLost
from infra.queue.leases import Claim

HEARTBEAT_SECONDS = leases.LEASE_SECONDS / 3
TICK_SECONDS = 1.0
# Less than half a lease, so that one statement without a response does not lose the lease.
STATEMENT_SECONDS = 10.0
BLOCKED_SECONDS = 2.0
STACK_DEPTH = 20
# The event loop enforces a task's time limit. Celery kills a process whose loop is blocked so much
# later.
HARD_LIMIT_GRACE_SECONDS = 15

log = logs.get_logger(__name__)


class Run:
    """One run of a task in this process's event loop, for the heartbeat.

    `limit` is the task's time limit in seconds. `is_finishing` returns True from the transaction
    that marks the task as succeeded; that transaction locks the task's row.
    """

    def __init__(self, claim: Claim, limit: float, is_finishing: Callable[[], bool]) -> None:
        self.claim = claim
        self.is_finishing = is_finishing
        self.is_lost = False
        now = time.monotonic()
        self.renewable_until = now + limit + HARD_LIMIT_GRACE_SECONDS
        self.renewed_at = now
        self.answered_at = now
        self.is_reported = False
        self.is_over = False
        self._work = asyncio.current_task()
        self._loop = asyncio.get_running_loop()

    def is_due(self) -> bool:
        """Return whether it is time to renew the lease."""
        now = time.monotonic()
        is_time = self.renewed_at + HEARTBEAT_SECONDS <= now < self.renewable_until
        return is_time and not self.is_finishing()

    def check_loop(self) -> None:
        """Make the event loop record the time, to show that it runs; called in another thread."""
        self._call(self._answer)

    def cancel(self) -> None:
        """Cancel the work, because the lease is lost; called in another thread."""
        self._call(self._cancel)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed: the process ends
            self.is_over = True

    def _answer(self) -> None:
        self.answered_at = time.monotonic()

    def _cancel(self) -> None:
        # A committed success looks like a lost lease.
        if not (self.is_over or self.is_finishing()) and self._work:
            self.is_lost = True
            self._work.cancel()


class Heartbeat(threading.Thread):
    """The thread that renews leases; create it after the fork, in the thread that runs tasks."""

    def __init__(self, url: str) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._url = url
        self._worker_thread = threading.get_ident()
        self._current: Run | None = None
        self._stopping = threading.Event()

    @contextmanager
    def keeping(self, run: Run) -> Iterator[None]:
        """Renew the lease of a run during the block.

        Raises:
            LeaseLost: the task was given to another worker, or is to be cancelled.

        """
        self._current = run
        try:
            yield
        except asyncio.CancelledError:
            if run.is_lost and (work := asyncio.current_task()):
                work.uncancel()
                raise LeaseLost from None
            raise
        finally:
            run.is_over = True
            self._current = None

    def run(self) -> None:
        """Renew leases until stopped, or until the process ends."""
        asyncio.run(self._beat())

    def stop(self) -> None:
        """Stop renewing leases at the next tick."""
        self._stopping.set()

    async def _beat(self) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(_tick())
            metrics.flush()
            if (run := self._current) is None:
                continue
            self._watch(run)
            if run.is_due():
                await self._keep(run)

    async def _keep(self, run: Run) -> None:
        """Renew the lease on one connection, until the run is over or the connection fails."""
        try:
            async with direct_connection(self._url, STATEMENT_SECONDS) as connection:
                while not (run.is_over or self._stopping.is_set()):
                    if run.is_due():
                        await leases.extend(run.claim, connection.fetch)
                        run.renewed_at = time.monotonic()
                    await asyncio.sleep(_tick())
                    metrics.flush()
                    self._watch(run)
        except LeaseLost:
            run.renewed_at = time.monotonic()
            run.cancel()
        except Exception as error:  # noqa: BLE001  the next tick tries again, on a new connection
            log.warning(Event.HEARTBEAT_FAILED, task_id=str(run.claim.id), error=repr(error))

    def _watch(self, run: Run) -> None:
        """Log where the event loop is blocked, at most once per run."""
        seconds = time.monotonic() - run.answered_at
        if seconds >= BLOCKED_SECONDS + _tick() and not run.is_reported:
            run.is_reported = True
            log.warning(
                Event.EVENT_LOOP_BLOCKED,
                task_id=str(run.claim.id),
                task=run.claim.name,
                seconds=round(seconds, 1),
                stack=_stack(self._worker_thread),
            )
        run.check_loop()


def _tick() -> float:
    return min(TICK_SECONDS, HEARTBEAT_SECONDS)


def _stack(thread: int) -> str:
    """Return the stack of a thread in one line, the innermost call first."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  documented in spite of its name
    calls = traceback.extract_stack(frame)[-STACK_DEPTH:]
    return " < ".join(f"{call.name} ({call.filename}:{call.lineno})" for call in reversed(calls))
