"""Stopping a worker: running tasks get some seconds to end, the others go back at once."""

import asyncio
import os
import signal
import threading
from contextlib import suppress
from typing import Any

from celery import signals

from infra import logs
from infra.database import direct_connection
from services.tasks import CHANNEL

# After the children are killed Celery should end by itself.
LAST_RESORT_SECONDS = 3.0
RELEASE_SECONDS = 5.0

log = logs.get_logger(__name__)


class Shutdown:
    """Bounds Celery's warm shutdown, which would wait for its tasks without end."""

    def __init__(self, url: str, worker: str, grace_seconds: float) -> None:
        self._url = url
        self._worker = worker
        self._grace_seconds = grace_seconds
        self._pool: Any = None

    def watch(self, pool: Any) -> None:
        """Take part in the shutdown of the worker that has this pool."""
        self._pool = pool
        signals.worker_shutting_down.connect(self._begin, weak=False)
        signals.worker_shutdown.connect(self._end, weak=False)

    def _begin(self, **_: object) -> None:
        threading.Thread(target=self._enforce, name="shutdown", daemon=True).start()

    def _enforce(self) -> None:
        ended = threading.Event()
        signals.worker_shutdown.connect(lambda **_: ended.set(), weak=False)
        if ended.wait(self._grace_seconds):
            return
        log.warning("shutdown_interrupts_tasks", after_seconds=self._grace_seconds)
        for pid in self._pool.info["processes"]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not ended.wait(LAST_RESORT_SECONDS):
            self._end()
            os._exit(0)

    def _end(self, **_: object) -> None:
        """Give back what the killed children had; what ended in time is not theirs any more."""
        try:
            with asyncio.Runner() as runner:
                released = runner.run(release(self._url, self._worker))
        except Exception:
            log.warning("release_failed", exc_info=True)
        else:
            log.info("tasks_released", tasks=released)


async def release(url: str, worker: str) -> int:
    """Queue again what this worker was running, without counting the attempt against the task.

    A task that was to be cancelled is: nobody would take it from the queue any more.
    """
    async with direct_connection(url, RELEASE_SECONDS) as connection:
        status = await connection.execute(
            """
            UPDATE tasks
            SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
                finished_at = CASE WHEN cancel_requested THEN now() END,
                available_at = now(), published_at = NULL, lease_until = NULL,
                max_attempts = max_attempts + 1
            WHERE state = 'running' AND worker = $1
            """,
            worker,
        )
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
    return int(status.split()[-1])
