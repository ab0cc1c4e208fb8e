"""A server process: one event loop that serves on one socket, and shuts down in order."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import uvloop
from sanic.application.state import ApplicationServerInfo
from sanic.http.constants import HTTP

from api.context import Application
from api.protocol.accept import BACKLOG, AcceptBurst
from api.protocol.fast_path import FastPathProtocol
from infra.observability import logs
from infra.process import signals
from infra.process.prefork import NotifyReady

# How long running requests may take to end, and the whole shutdown.
DRAIN_SECONDS = 8.0
DRAIN_POLL_SECONDS = 0.05
GRACE_SECONDS = DRAIN_SECONDS + 2.0

log = logs.get_logger(__name__)


def serve_on(listening: socket.socket, app: Application, ready: NotifyReady) -> None:
    """Serve on a socket until a signal comes; call `ready` when the socket accepts requests.

    Call it after the fork: the event loop and its resources cannot be shared with a child.
    """
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with suppress(signals.Stopped):
        signals.run(_serve(app, listening, ready), grace_seconds=GRACE_SECONDS, runner=runner)


async def _serve(app: Application, listening: socket.socket, ready: NotifyReady) -> None:
    """Serve on a socket until cancelled, then end the running requests."""
    # `app.run` sets this; without it every response has an empty `Alt-Svc`.
    app.state.server_info.append(ApplicationServerInfo({"version": HTTP.VERSION_1}))
    # Sanic has no types for what it returns.
    server: Any = await app.create_server(
        sock=listening,
        # Sanic declares a class here, and only calls it.
        protocol=AcceptBurst(FastPathProtocol, listening),  # type: ignore[arg-type]
        backlog=BACKLOG,
        access_log=False,
        debug=app.ctx.settings.debug,
        return_asyncio_server=True,
        asyncio_server_kwargs={"start_serving": False},
    )
    await server.startup()
    try:
        await server.before_start()
        await server.after_start()
        await server.start_serving()
        ready()
        log.info("server_process_ready", port=app.ctx.settings.port)
        await asyncio.Event().wait()
    finally:
        await _stop(app, server)


async def _stop(app: Application, server: Any) -> None:
    """End streams, idle connections and requests, in this order; abort the rest."""
    server.close()
    await server.before_stop()
    app.ctx.streams.end()
    end = asyncio.get_running_loop().time() + DRAIN_SECONDS
    connections = server.connections
    while connections and asyncio.get_running_loop().time() < end:
        for connection in list(connections):
            # No connection is kept for another request.
            connection.signal.stopped = True
            connection.close_if_idle()
        await asyncio.sleep(DRAIN_POLL_SECONDS)
    for connection in list(connections):
        connection.abort()
    await server.after_stop()
