"""Renews the leases of a worker process's running tasks, independently of their code.

It sends the process's metrics, too, because no loop runs between two tasks.

The thread has its own event loop and connection, so a task that blocks the process's event loop
keeps its lease, and so do those that run beside it. A process that is stopped loses the leases; a
task that hangs past its time limit loses its own.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

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
        self._began = now = time.monotonic()
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

    def is_long(self) -> bool:
        """Return whether it has run for so long that its lease is renewed now and then."""
        return time.monotonic() >= self._began + HEARTBEAT_SECONDS

    def is_blocked(self) -> bool:
        """Return whether the event loop has not run for a while."""
        return time.monotonic() - self.answered_at >= BLOCKED_SECONDS + _tick()

    def is_at_work(self) -> bool:
        """Return whether the event loop runs the task's code right now."""
        return asyncio.current_task(self._loop) is self._work

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
        # Replaced by the thread that runs tasks, and read by this one.
        self._runs: tuple[Run, ...] = ()
        self._stopping = threading.Event()

    @contextmanager
    def keeping(self, run: Run) -> Iterator[None]:
        """Renew the lease of a run during the block.

        Raises:
            LeaseLost: the task was given to another worker, or is to be cancelled.

        """
        self._runs = (*self._runs, run)
        try:
            yield
        except asyncio.CancelledError:
            if run.is_lost and (work := asyncio.current_task()):
                work.uncancel()
                raise LeaseLost from None
            raise
        finally:
            run.is_over = True
            self._runs = tuple(each for each in self._runs if each is not run)

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
            self._watch()
            if any(run.is_due() for run in self._runs):
                await self._keep()

    async def _keep(self) -> None:
        """Renew leases on one connection, until no long run is left or the connection fails."""
        try:
            async with direct_connection(self._url, STATEMENT_SECONDS) as connection:
                while any(run.is_long() for run in self._runs) and not self._stopping.is_set():
                    if due := {run.claim.id: run for run in self._runs if run.is_due()}:
                        await _renew(due, connection.fetch)
                    await asyncio.sleep(_tick())
                    metrics.flush()
                    self._watch()
        except Exception as error:  # noqa: BLE001  the next tick tries again, on a new connection
            ids = [str(run.claim.id) for run in self._runs]
            about = {"task_id": next(iter(ids), None), "tasks": len(ids)}
            log.warning(Event.HEARTBEAT_FAILED, **about, error=repr(error))

    def _watch(self) -> None:
        """Log where the event loop is blocked, at most once for the run that blocks it."""
        runs = self._runs
        if blocked := [run for run in runs if run.is_blocked()]:
            run = next((each for each in blocked if each.is_at_work()), blocked[0])
            self._report(run)
        for run in runs:
            run.check_loop()

    def _report(self, run: Run) -> None:
        if run.is_reported:
            return
        run.is_reported = True
        log.warning(
            Event.EVENT_LOOP_BLOCKED,
            task_id=str(run.claim.id),
            task=run.claim.name,
            seconds=round(time.monotonic() - run.answered_at, 1),
            stack=_stack(self._worker_thread),
        )


async def _renew(runs: Mapping[UUID, Run], fetch: leases.Fetch) -> None:
    """Renew the leases of runs by their tasks, and cancel those that have lost theirs."""
    renewal = await leases.renew([run.claim for run in runs.values()], fetch)
    for task_id in renewal.renewed | renewal.lost:
        runs[task_id].renewed_at = time.monotonic()
    for task_id in renewal.lost:
        runs[task_id].cancel()


def _tick() -> float:
    return min(TICK_SECONDS, HEARTBEAT_SECONDS)


def _stack(thread: int) -> str:
    """Return the stack of a thread in one line, the innermost call first."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  documented in spite of its name
    calls = traceback.extract_stack(frame)[-STACK_DEPTH:]
    return " < ".join(f"{call.name} ({call.filename}:{call.lineno})" for call in reversed(calls))
