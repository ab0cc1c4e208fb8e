"""A server process: one event loop that serves on one socket, and shuts down in order."""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import uvloop
from sanic.application.state import ApplicationServerInfo
from sanic.http.constants import HTTP

from api.context import Application
from api.protocol.accept import AcceptBurst
from api.protocol.draining import REQUESTS_SECONDS, Drain
from api.protocol.fast_path import FastPathProtocol
from infra.observability import logs
from infra.observability.events import Event
from infra.process import signals
from infra.process.child import NotifyReady
from infra.process.prefork import LEAVE
from infra.process.sockets import BACKLOG

# How long a process may take to end, after DRAIN_SECONDS.
GRACE_SECONDS = REQUESTS_SECONDS + 2.0

log = logs.get_logger(__name__)


def serve_on(listening: socket.socket, app: Application, ready: NotifyReady) -> None:
    """Serve on a socket until a signal comes; call `ready` when the socket accepts requests.

    Call it after the fork: the event loop and its resources cannot be shared with a child.
    """
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    grace_seconds = app.ctx.settings.drain_seconds + GRACE_SECONDS
    with suppress(signals.Stopped):
        signals.run(_serve(app, listening, ready), grace_seconds=grace_seconds, runner=runner)


async def _serve(app: Application, listening: socket.socket, ready: NotifyReady) -> None:
    """Serve on a socket until cancelled or replaced, then end the running requests."""
    # `app.run` sets this; without it every response has an empty `Alt-Svc`.
    app.state.server_info.append(ApplicationServerInfo({"version": HTTP.VERSION_1}))
    accept = AcceptBurst(FastPathProtocol, listening)
    # Sanic has no types for what it returns.
    server: Any = await app.create_server(
        sock=listening,
        # Sanic declares a class here, and only calls it.
        protocol=accept,  # type: ignore[arg-type]
        backlog=BACKLOG,
        access_log=False,
        debug=app.ctx.settings.debug,
        return_asyncio_server=True,
        asyncio_server_kwargs={"start_serving": False},
    )
    app.ctx.connections = server.connections
    replaced = asyncio.Event()
    signals.call_on_signal(LEAVE, replaced.set)
    await server.startup()
    try:
        await server.before_start()
        await server.after_start()
        await server.start_serving()
        ready()
        log.info(Event.SERVER_PROCESS_READY, port=app.ctx.settings.port)
        try:
            await replaced.wait()
        finally:
            drain = Drain(app, server, accept)
            # A successor has the same socket, and a replaced process leaves it the queue.
            if not replaced.is_set():
                app.ctx.is_ready = False
                await drain.wait_and_close_listener(listening)
            server.close()
            await drain.end_connections()
    finally:
        server.close()
        await server.before_stop()
        await server.after_stop()


def requests_in_flight(connections: Iterable[object]) -> int:
    """Return how many of Sanic's connections have a request whose response is not complete.

    Counted from time to time, for the fast path has none to count.
    """
    # Without the attribute, the connection's task has not begun.
    requests = (getattr(each, "_http", None) for each in connections)
    return sum(map(bool, requests))
