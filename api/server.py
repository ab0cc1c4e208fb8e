"""The server processes."""

import time
from functools import partial
from threading import Thread
from typing import Any

from sanic import Sanic
from sanic.worker.constants import ProcessState
from sanic.worker.loader import AppLoader

from api import media
from api.app import create_app
from api.listen import DEALS_OUT, bind, deal_out
from api.shortcut import ShortcutProtocol
from infra import logs, metrics
from infra.cache import shared
from infra.keys import KeyRing
from infra.settings import Environment, Settings

# The kernel's queue of connections not yet accepted: 100 overflows with 500 clients at once.
BACKLOG = 4096
# Clients can refresh; a token that was stolen is good for its life, unless its user logs out.
ADVISED_TOKEN_SECONDS = 60 * 60
# How often the parent looks whether a server process has died.
LOOK_SECONDS = 0.5


log = logs.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Serve until told to stop; a process that dies is started again."""
    _advise(settings)
    KeyRing(settings)  # a file of keys that can't be used is a fault now, not in each process
    run = settings.data_dir.absolute() / "run"
    metrics.share_between_processes(run / "metrics")
    shared.create(memory := run / f"api-{settings.port}.shared")
    loader = AppLoader(factory=partial(create_app, settings, memory))
    app = loader.load()
    sockets = bind(settings.host, settings.port, settings.api_workers, BACKLOG)
    if DEALS_OUT:
        deal_out(app, sockets)
    app.main_process_ready(revive)
    app.prepare(
        host=settings.host,
        port=settings.port,
        sock=sockets[0],
        workers=settings.api_workers,
        backlog=BACKLOG,
        protocol=ShortcutProtocol,
        access_log=False,
        debug=settings.debug,
        motd=False,
    )
    Sanic.serve(primary=app, app_loader=loader)


def _advise(settings: Settings) -> None:
    """Say what production may do and better did not."""
    if settings.environment is not Environment.PRODUCTION:
        return
    logs.configure(settings.log_level, settings.log_format, process="api")
    if settings.storage_public_url is None and not media.is_wanted(settings):
        log.warning(
            "images_without_nosniff",
            setting="STORAGE_PUBLIC_URL",
            advised="this service's own /media, or a CDN before it; a bucket can't say nosniff",
        )
    lifetime = settings.token_lifetime_seconds
    if lifetime > ADVISED_TOKEN_SECONDS:
        log.warning(
            "tokens_live_long",
            setting="TOKEN_LIFETIME_SECONDS",
            seconds=lifetime,
            advised=ADVISED_TOKEN_SECONDS,
        )


async def revive(app: Sanic[Any, Any]) -> None:
    """Start server processes again that die, from now on; Sanic by itself leaves them dead."""
    Thread(target=_watch, args=(app.manager,), daemon=True).start()


def _watch(manager: Any) -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        for process in manager.transient_processes:
            if process.state in {ProcessState.FAILED, ProcessState.COMPLETED}:
                # A message, as the server processes send them: the manager's loop acts on it.
                manager.monitor_publisher.send(f"{process.name}:")
