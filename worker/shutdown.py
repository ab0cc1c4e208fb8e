"""Stopping a worker: running tasks get a grace period; then they are killed and queued again."""

import asyncio
import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

from celery import signals
from celery.apps.worker import Worker
from celery.worker import state

from infra.db.engine import direct_connection
from infra.observability import logs
from infra.observability.events import Event
from infra.process.signals import exit_by_signal, stop_signals
from infra.queue.sweep import release_worker

# How long Celery may take to end by itself after its children are killed.
LAST_RESORT_SECONDS = 3.0
RELEASE_SECONDS = 5.0

log = logs.get_logger(__name__)


class SignalledWorker(Worker):  # type: ignore[misc]
    """Celery's worker, with a warm shutdown on every stop signal.

    Celery's own worker restarts on SIGHUP, and prints lines that are not log entries.
    """

    def install_platform_tweaks(self, worker: Worker) -> None:  # noqa: ARG002  Celery's signature
        """Handle the stop signals; a second one ends the process, and its children with it."""
        main = os.getpid()

        def stop(signum: int, _frame: FrameType | None) -> None:
            if os.getpid() != main:
                return  # in a child that has just been forked; its parent ends it
            if state.should_stop is not None:
                exit_by_signal(signum)
            state.should_stop = os.EX_OK
            signals.worker_shutting_down.send(
                sender=self.hostname, sig=signum, how="Warm", exitcode=os.EX_OK
            )

        for signum in stop_signals():
            signal.signal(signum, stop)

    def emit_banner(self) -> None:
        """Print nothing: the log has an entry when the worker is ready."""


class Shutdown:
    """Bounds Celery's warm shutdown, which waits for running tasks without limit."""

    def __init__(self, url: str, worker: str, grace_seconds: float) -> None:
        self._url = url
        self._worker = worker
        self._grace_seconds = grace_seconds
        self._controller: Any = None

    def watch(self, controller: Any) -> None:
        """Connect to the shutdown signals of this worker, before it starts its pool."""
        self._controller = controller
        signals.worker_shutting_down.connect(self._begin, weak=False)
        signals.worker_shutdown.connect(self._end, weak=False)

    def _begin(self, **_: object) -> None:
        threading.Thread(target=self._enforce, name="shutdown", daemon=True).start()

    def _enforce(self) -> None:
        ended = threading.Event()
        signals.worker_shutdown.connect(lambda **_: ended.set(), weak=False)
        if ended.wait(self._grace_seconds):
            return
        log.warning(Event.SHUTDOWN_INTERRUPTS_TASKS, after_seconds=self._grace_seconds)
        # A worker that is stopped while it starts has no pool yet.
        pool = getattr(self._controller.pool, "_pool", None)
        for process in pool._pool if pool else ():  # noqa: SLF001  billiard's, by its only name
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        if not ended.wait(LAST_RESORT_SECONDS):
            self._end()
            logs.drain()
            os._exit(0)

    def _end(self, **_: object) -> None:
        """Queue the tasks of killed children again; tasks that ended in time are not affected."""
        try:
            with asyncio.Runner() as runner:
                released = runner.run(self._release())
        except Exception:
            log.warning(Event.RELEASE_FAILED, exc_info=True)
        else:
            log.info(Event.TASKS_RELEASED, tasks=released)

    async def _release(self) -> int:
        async with direct_connection(self._url, RELEASE_SECONDS) as connection:
            return await release_worker(connection, self._worker)
