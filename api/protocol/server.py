"""The parent process: it forks the server processes and the process that serves metrics."""

import os
import socket
from collections.abc import Callable
from functools import partial

from api.app import create_app
from api.production_warnings import advise
from api.protocol.accept import Listening
from api.protocol.server_process import serve_on
from api.task_readings import task_readings
from infra import metrics_server
from infra.db.change_ring import ChangeRing
from infra.metrics_server import Source
from infra.observability.meters import Instance
from infra.observability.totals import open_channel
from infra.process.child import Job, NotifyReady
from infra.process.prefork import Prefork, ReportError
from infra.rate_limits.stream_table import StreamTable
from infra.settings import Settings, require_database

# After DRAIN_SECONDS, a process ends its requests and releases its connections; then it is killed.
GRACE_SECONDS = 11.0
# One is for the process that serves metrics and has no streams, one for a successor.
FURTHER_PLACES = 2


def serve(
    settings: Settings,
    listening: Listening,
    set_up: Callable[[], object],
    report_error: ReportError,
) -> int:
    """Serve until a signal comes; return the exit code.

    `set_up` runs first, in its own process: a process with threads cannot fork safely.
    `report_error` reports the error of a process, and returns its exit code.
    """
    advise(settings)
    change_ring, streams = ChangeRing(), StreamTable(settings.api_workers + FURTHER_PLACES)
    receiver, sender = open_channel()
    readings = partial(task_readings, require_database(settings))
    source = Source(Instance.API, os.getpid(), receiver, readings)

    def server(number: int, place: int, ready: NotifyReady) -> None:
        mine = listening.clients[number % len(listening.clients)]
        listening.close(but=mine)
        serve_on(mine, create_app(settings, change_ring, streams.of(place), sender), ready)

    def metrics(address: socket.socket, _place: int, ready: NotifyReady) -> None:
        listening.close(but=address)
        metrics_server.answer(address, source, ready)

    jobs: list[Job] = [partial(server, number) for number in range(settings.api_workers)]
    if listening.metrics:
        jobs.append(partial(metrics, listening.metrics))
    grace_seconds = settings.drain_seconds + GRACE_SECONDS
    with receiver, sender, Prefork(report_error, grace_seconds) as processes:
        return processes.run(set_up) or processes.keep(
            jobs, listening.close, streams.clear, replaceable=settings.api_workers
        )
