"""The parent of the server processes: it forks them, and the one that answers Prometheus."""

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

# A process ends its requests, gives its connections back, and is killed then.
GRACE_SECONDS = 11.0


def serve(
    settings: Settings,
    listening: Listening,
    set_up: Callable[[], object],
    report_error: ReportError,
) -> int:
    """Serve until a signal comes; return the exit code.

    `set_up` is done first, in a process of its own: this one has no thread, or could not fork.
    `report_error` says what went wrong in a process, and returns its exit code.
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
