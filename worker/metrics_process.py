"""The process that serves a worker's metrics; forked before Celery starts its threads."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from infra import error_messages, metrics_server
from infra.metrics_server import Source, no_readings
from infra.observability import logs, metrics, task_metrics
from infra.observability.events import Event
from infra.observability.meters import Instance
from infra.observability.totals import open_channel
from infra.process.signals import restore_defaults
from infra.process.sockets import bind
from infra.process.system import die_with_parent
from infra.settings import Settings, SettingsError
from tasks.registry import load_tasks

AGAIN_SECONDS = 1.0

log = logs.get_logger(__name__)


@contextmanager
def served(settings: Settings) -> Iterator[None]:
    """Serve the metrics of this process and those that it forks, on WORKER_METRICS_PORT if set.

    Raises:
        SettingsError: the address is in use, or cannot be bound.

    """
    if not settings.worker_metrics_port:
        yield
        return
    host, port = settings.metrics_host, settings.worker_metrics_port
    try:
        [listening] = bind(host, port)
    except OSError as error:
        sentence = error_messages.address_message(
            "METRICS_HOST", "WORKER_METRICS_PORT", host, port, error
        )
        raise SettingsError(sentence) from None
    task_metrics.task_names.add(*load_tasks())
    receiver, sender = open_channel()
    source = Source(Instance.WORKER, os.getpid(), receiver, no_readings)
    with listening, receiver, sender:
        metrics.set_sender(sender)
        process = _MetricsProcess(listening, source)
        process.start()
        try:
            yield
        finally:
            process.stop()


class _MetricsProcess(threading.Thread):
    """Forks the process, and again after it has died."""

    def __init__(self, listening: socket.socket, source: Source) -> None:
        super().__init__(name="metrics", daemon=True)
        self._listening = listening
        self._source = source
        self._stopping = threading.Event()
        # Here, in the main thread: while there is no other, no lock can be held.
        self._pid = self._fork()

    def run(self) -> None:
        """Wait for the end of the process, and fork the next one."""
        while True:
            _, status = os.waitpid(self._pid, 0)
            if self._stopping.is_set():
                return
            code = os.waitstatus_to_exitcode(status)
            log.warning(Event.PROCESS_ENDED, exit_code=code, again_in_seconds=AGAIN_SECONDS)
            if self._stopping.wait(AGAIN_SECONDS):
                return
            self._pid = self._fork()

    def stop(self) -> None:
        """End the process; the metrics of the worker end with it."""
        self._stopping.set()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def _fork(self) -> int:
        pid = os.fork()
        if not pid:
            self._serve()
        return pid

    def _serve(self) -> NoReturn:
        try:
            # Signals of the terminal are for the worker, which ends this process last.
            os.setsid()
            die_with_parent(parent=self._source.parent)
            restore_defaults()
            metrics.set_sender(None)
            metrics_server.answer(self._listening, self._source, lambda: None)
        except BaseException:
            log.exception(Event.UNCAUGHT_ERROR)
        finally:
            # It must not return to the parent's code.
            os._exit(os.EX_SOFTWARE)
