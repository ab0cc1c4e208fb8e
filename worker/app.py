"""The Celery application: every registered kind of task under its own name, and the relay."""

import mmap
import os
import secrets
import socket
from typing import Any
from uuid import UUID

from billiard import heap
from celery import Celery, Task, bootsteps, signals
from celery.exceptions import Retry

from infra.identity import SERVICE, qualified
from infra.observability import tracing
from infra.settings import Use, load_settings, require_direct_database
from models import TaskState
from tasks.registry import Registration, load_tasks
from worker.commands import stops
from worker.companions import TAKING_SECONDS
from worker.heartbeat import HARD_LIMIT_GRACE_SECONDS
from worker.process import WorkerProcess
from worker.relay_thread import RelayThread
from worker.shutdown import Shutdown, SignalledWorker

# The name of a lease's holder: host, main process and a random part, as containers may share both.
MAIN_PROCESS = os.getpid()
WORKER = f"{socket.gethostname()}/{MAIN_PROCESS}/{secrets.token_hex(4)}"


class _Arena:
    """Anonymous memory that a worker shares with its processes; a kill leaves no file behind.

    The processes are forked, so they need no name for it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.buffer = mmap.mmap(-1, size)


heap.Arena = _Arena

app = Celery(SERVICE, config_source=qualified("celeryconfig"))

_process: WorkerProcess | None = None


class AttemptFailed(Exception):
    """The task has failed; the message is the public reason"""


@signals.worker_process_init.connect
def _open_process(**_: object) -> None:
    global _process  # noqa: PLW0603  Celery's signals share nothing but the module
    _process = WorkerProcess(WORKER, MAIN_PROCESS, stops)


@signals.worker_process_shutdown.connect
def _close_process(**_: object) -> None:
    if _process:
        _process.close()


@signals.setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Stop Celery from configuring logging: `enroll` has configured it."""


@signals.worker_shutting_down.connect
def _take_no_more(**_: object) -> None:
    stops.stop()


def _register(registration: Registration) -> None:
    # Companions start later than the task of the message.
    taking = TAKING_SECONDS if registration.concurrency_per_process > 1 else 0

    def run(self: Task, **_shown: Any) -> str | None:
        if _process is None:
            raise RuntimeError("a task runs in a worker process only")
        state = _process.run(UUID(self.request.id), registration.name)
        # Flower and Celery's own log show the outcome of the attempt.
        if state == TaskState.FAILED:
            raise AttemptFailed(_process.error)
        if state == TaskState.QUEUED:
            raise Retry(f"It is tried again. {_process.error}")
        return state

    run.__doc__ = registration.body.__doc__
    app.task(
        run,
        bind=True,
        name=str(registration.name),
        time_limit=registration.timeout + taking + HARD_LIMIT_GRACE_SECONDS,
        throws=(AttemptFailed,),
    )


for _registration in load_tasks().values():
    _register(_registration)


class RelayStep(bootsteps.StartStopStep):
    """The relay as a part of the worker's main process, started after the pool has forked."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: object, **options: object) -> None:
        super().__init__(worker, **options)
        self._settings = load_settings(uses=Use.QUEUE)
        url = require_direct_database(self._settings)
        self._thread = RelayThread(url, app)
        Shutdown(url, WORKER, self._settings.worker_shutdown_seconds).watch(worker)

    def start(self, worker: object) -> None:  # noqa: ARG002  Celery's signature
        """Start relaying."""
        # Its statements are no spans: the processes that are forked later would inherit them.
        tracing.start(self._settings, "relay", instruments=False)
        self._thread.start()

    def stop(self, worker: object) -> None:  # noqa: ARG002  Celery's signature
        """Stop relaying before the worker's pool stops."""
        self._thread.stop()
        tracing.stop()

    terminate = stop


app.steps["worker"].add(RelayStep)
app.Worker = app.subclass_with_self(SignalledWorker)
