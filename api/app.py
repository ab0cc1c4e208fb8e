"""The application: routes, listeners and middleware."""

import socket

import orjson
from sanic import Sanic
from sanic.exceptions import RequestCancelled
from sanic_ext import Config as ExtensionConfig
from sanic_ext.extensions.http.extension import HTTPExtension

from api import errors, lifespan, media, middleware
from api.admin import admin
from api.auth import auth
from api.bodies import MAX_JSON_BYTES
from api.context import Application, Context
from api.courses import courses
from api.documentation import pages
from api.enrollments import enrollments
from api.requests import ForgivingRequest
from api.streams import Streams
from api.system import SERVICE, system
from api.tasks import admin_tasks, tasks
from api.write_buffers import WriteBuffers
from infra import logs, metrics
from infra.cache import Shared
from infra.settings import Settings
from infra.stream_table import Slots

# Bodies that a handler takes are streamed to it and counted there; this bounds all others.
LIMITS = {
    "REQUEST_MAX_SIZE": MAX_JSON_BYTES,
    "FALLBACK_ERROR_FORMAT": "json",
    "ACCESS_LOG": False,
    "MOTD": False,
}


def create_app(
    settings: Settings,
    shared: Shared | None = None,
    slots: Slots | None = None,
    metrics_sender: socket.socket | None = None,
) -> Application:
    """Build the application; it opens its connections when a server process starts it.

    `shared` and `slots` are memory of the instance's processes, if there are several, and
    `metrics_sender` leads to the process that answers Prometheus (infra.meters), if there is one.
    """
    logs.configure(settings.log_level, settings.log_format, process="api")
    context = Context(
        settings=settings,
        shared=shared or Shared(),
        streams=Streams(slots),
        metrics_sender=metrics_sender,
        write_buffers=WriteBuffers(),
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
    app.blueprint([auth, courses, enrollments, tasks, admin_tasks, admin, system, pages])
    if media.is_wanted(settings):
        app.blueprint(media.media)
    # HEAD and OPTIONS alone: the one that injects dependencies listens to every request for it.
    app.extend(extensions=[HTTPExtension], built_in_extensions=False, config=_extensions())
    metrics.routes.add(*(f"/{route.path}" for route in app.router.routes))
    middleware.install(app, settings)
    app.exception(Exception)(errors.render)
    app.error_handler.add(RequestCancelled, errors.gone)
    app.before_server_start(lifespan.open_resources)
    app.after_server_stop(lifespan.close_resources)
    return app


def _extensions() -> ExtensionConfig:
    # Its CORS takes origins for patterns, and an origin that begins with ours for ours.
    return ExtensionConfig(cors=False, http_all_methods=False)
