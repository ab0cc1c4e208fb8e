"""The server processes."""

import socket
import time
from contextlib import ExitStack
from functools import partial
from threading import Thread
from typing import Any

from sanic import Sanic
from sanic.worker.constants import ProcessState
from sanic.worker.loader import AppLoader

from api import media, scrape
from api.app import Application, create_app
from api.listen import BACKLOG, DEALS_OUT, Listening, deal_out
from api.shortcut import ShortcutProtocol
from infra import logs, meters
from infra.cache import SharedWords
from infra.keys import KeyRing
from infra.settings import Environment, Settings, require_database

# Clients can refresh; a token that was stolen is good for its life, unless its user logs out.
ADVISED_TOKEN_SECONDS = 60 * 60
# How often the parent looks whether a server process has died.
LOOK_SECONDS = 0.5


log = logs.get_logger(__name__)


def serve(settings: Settings, listening: Listening) -> None:
    """Serve until told to stop; a process that dies is started again."""
    _advise(settings)
    KeyRing(settings)  # a file of keys that can't be used is a fault now, not in each process
    receiver, sender = meters.channel()
    loader = AppLoader(factory=partial(create_app, settings, SharedWords(), sender))
    app = loader.load()
    with receiver, sender, ExitStack() as stack:
        if listening.metrics:
            url = require_database(settings)
            stack.enter_context(scrape.answering(listening.metrics, receiver, url))
        _serve(app, loader, settings, listening.clients)


def _serve(
    app: Application, loader: AppLoader, settings: Settings, sockets: list[socket.socket]
) -> None:
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
