"""The parent process: it forks the server processes and the process that serves metrics."""

import socket
from collections.abc import Callable
from functools import partial

from api import metrics_server
from api.app import create_app
from api.production_warnings import advise
from api.protocol.accept import Listening
from api.protocol.server_process import serve_on
from infra.cache import Shared
from infra.observability import meters
from infra.process.prefork import NotifyReady, Prefork, ReportError
from infra.rate_limits.stream_table import StreamTable
from infra.settings import Settings, require_database

# The time in which a process ends its requests and releases its connections; then it is killed.
GRACE_SECONDS = 11.0


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
    shared, streams = Shared(), StreamTable(settings.api_workers)
    receiver, sender = meters.open_channel()

    def server(number: int, ready: NotifyReady) -> None:
        mine = listening.clients[number % len(listening.clients)]
        listening.close(but=mine)
        serve_on(mine, create_app(settings, shared, streams.of(number), sender), ready)

    def metrics(address: socket.socket, ready: NotifyReady) -> None:
        listening.close(but=address)
        metrics_server.answer(address, receiver, require_database(settings), ready)

    def clear(number: int) -> None:
        if number < settings.api_workers:
            streams.clear(number)

    works = [partial(server, number) for number in range(settings.api_workers)]
    if listening.metrics:
        works.append(partial(metrics, listening.metrics))
    with receiver, sender, Prefork(report_error, GRACE_SECONDS) as processes:
        return processes.run(set_up) or processes.keep(works, listening.close, clear)
