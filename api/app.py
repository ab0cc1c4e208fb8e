"""The application: routes, listeners and middleware."""

import socket

import orjson
from sanic import Sanic
from sanic.exceptions import RequestCancelled
from sanic_ext import Config as ExtensionConfig
from sanic_ext.extensions.http.extension import HTTPExtension

from api import errors, lifespan, middleware
from api.console.routes import console
from api.context import Application, Context
from api.endpoint.bodies import MAX_JSON_BYTES
from api.endpoint.docs_page import pages
from api.protocol.requests import ForgivingRequest
from api.protocol.write_buffers import WriteBuffers
from api.routes import media
from api.routes.admin import admin
from api.routes.auth import auth
from api.routes.courses import courses
from api.routes.enrollments import enrollments
from api.routes.flags import flags
from api.routes.system import system
from api.routes.tasks import admin_tasks, tasks
from api.routes.workflows import workflows
from api.security.sse_limits import Streams
from infra.db.change_ring import ChangeRing
from infra.identity import SERVICE
from infra.observability import logs, metrics
from infra.rate_limits.stream_table import Slots
from infra.settings import Settings

# Declared bodies are streamed and `read_body` limits them; REQUEST_MAX_SIZE limits all others.
LIMITS = {
    "REQUEST_MAX_SIZE": MAX_JSON_BYTES,
    "FALLBACK_ERROR_FORMAT": "json",
    "ACCESS_LOG": False,
    "MOTD": False,
}


def create_app(
    settings: Settings,
    change_ring: ChangeRing | None = None,
    slots: Slots | None = None,
    metrics_sender: socket.socket | None = None,
) -> Application:
    """Build the application; each server process opens its connections at its start.

    `change_ring` and `slots` are memory that the instance's processes share. `metrics_sender`
    leads to the metrics process, if there is one (infra.observability.totals).
    """
    logs.configure(settings.log_level, settings.log_format, process="api")
    context = Context(
        settings=settings,
        change_ring=change_ring or ChangeRing(),
        streams=Streams(slots),
        metrics_sender=metrics_sender,
        connections=(),
        write_buffers=WriteBuffers(),
        is_ready=True,
        is_draining=False,
    )
    app: Application = Sanic(
        SERVICE.replace("-", "_"),
        ctx=context,
        request_class=ForgivingRequest,
        dumps=orjson.dumps,
        loads=orjson.loads,
        configure_logging=False,
    )
    app.config.update(LIMITS)
    app.config.update(
        REQUEST_TIMEOUT=settings.request_seconds,
        RESPONSE_TIMEOUT=settings.response_seconds,
        KEEP_ALIVE_TIMEOUT=settings.keep_alive_seconds,
    )
    app.blueprint(
        [auth, courses, enrollments, tasks, admin_tasks, workflows, flags, admin, system, pages]
    )
    app.blueprint(console)
    if media.are_served_here(settings):
        app.blueprint(media.media)
    # Only HEAD and OPTIONS: the dependency injection extension adds a listener to every request.
    app.extend(extensions=[HTTPExtension], built_in_extensions=False, config=_extensions())
    metrics.routes.add(*(f"/{route.path}" for route in app.router.routes))
    middleware.install(app, settings)
    app.exception(Exception)(errors.render)
    app.error_handler.add(RequestCancelled, errors.gone)
    app.before_server_start(lifespan.open_resources)
    app.after_server_stop(lifespan.close_resources)
    return app


def _extensions() -> ExtensionConfig:
    # The extension's CORS matches origins as patterns, so it accepts longer origins than ours.
    return ExtensionConfig(cors=False, http_all_methods=False)
