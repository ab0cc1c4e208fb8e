"""The server processes."""

from functools import partial

from sanic import Sanic
from sanic.worker.loader import AppLoader

from api.app import create_app
from api.shortcut import ShortcutProtocol
from infra import metrics
from infra.cache import shared
from infra.settings import Settings

# The kernel's queue of connections not yet accepted: 100 overflows with 500 clients at once.
BACKLOG = 4096


def serve(settings: Settings) -> None:
    """Serve until told to stop; a process that dies is started again."""
    run = settings.data_dir.absolute() / "run"
    metrics.share_between_processes(run / "metrics")
    shared.create(memory := run / f"api-{settings.port}.shared")
    loader = AppLoader(factory=partial(create_app, settings, memory))
    app = loader.load()
    app.prepare(
        host=settings.host,
        port=settings.port,
        workers=settings.api_workers,
        backlog=BACKLOG,
        protocol=ShortcutProtocol,
        access_log=False,
        debug=settings.debug,
        motd=False,
    )
    Sanic.serve(primary=app, app_loader=loader)
