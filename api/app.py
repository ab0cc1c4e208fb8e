"""The application: routes, listeners, middleware, nothing else."""

import asyncio
import gc
import socket
from contextlib import AsyncExitStack
from functools import partial
from types import SimpleNamespace

import orjson
from sanic import Sanic
from sanic.config import Config
from sanic.exceptions import RequestCancelled
from sanic_ext import Config as ExtensionConfig
from sanic_ext.extensions.http.extension import HTTPExtension
from tortoise import BaseDBAsyncClient

from api import errors, gauges, media, middleware
from api.admin import admin
from api.auth import auth
from api.bodies import MAX_JSON_BYTES
from api.cors import Origins
from api.courses import courses
from api.documentation import pages
from api.enrollments import enrollments
from api.limits import Limits
from api.monitors import Monitors
from api.requests import ForgivingRequest
from api.shortcut import Shortcut
from api.streams import Streams
from api.system import SERVICE, system
from api.tasks import admin_tasks, tasks
from api.write_buffers import WriteBuffers
from infra import limits, logs, metrics
from infra.cache import AnswerCache, Shared, open_store
from infra.database import COMMAND_TIMEOUT_SECONDS, another, database
from infra.feed import DatabaseFeed
from infra.keys import KeyRing
from infra.process import give_large_pieces_back
from infra.replica import Reports
from infra.session_list import SessionList
from infra.settings import Settings, require_database, require_direct_database
from infra.shield import drain
from infra.storage import Storage, open_storage
from infra.storage.recent import Recent
from infra.stream_table import Slots
from services import answers
from services.group_commit import GroupCommit
from services.refusals import Refusals
from services.removed_images import RemovedImages
from services.revocations import Revocations
from services.turns import Turns

# Bodies that a handler takes are streamed to it and counted there; this bounds all others.
LIMITS = {
    "REQUEST_MAX_SIZE": MAX_JSON_BYTES,
    "FALLBACK_ERROR_FORMAT": "json",
    "ACCESS_LOG": False,
    "MOTD": False,
}
# A database that is away or busy is not asked for what nobody waits for more often than this.
WARM_AGAIN_SECONDS = 2.0

log = logs.get_logger(__name__)


class Context(SimpleNamespace):
    """What handlers reach by `request.app.ctx`."""

    settings: Settings
    storage: Storage
    recent: Recent
    cache: AnswerCache
    reports: Reports
    monitors: Monitors
    keys: KeyRing
    limits: Limits
    refusals: Refusals
    sessions: SessionList
    revocations: Revocations
    shortcut: Shortcut
    origins: Origins
    complete: middleware.Complete
    write_buffers: WriteBuffers
    turns: Turns
    together: GroupCommit
    resources: AsyncExitStack
    shared: Shared
    streams: Streams
    metrics_sender: socket.socket | None


Application = Sanic[Config, Context]


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
    app.before_server_start(open_resources)
    app.after_server_stop(close_resources)
    return app


def _extensions() -> ExtensionConfig:
    # Its CORS takes origins for patterns, and an origin that begins with ours for ours.
    return ExtensionConfig(cors=False, http_all_methods=False)


async def open_resources(app: Application) -> None:
    """Connect this server process to what it needs."""
    give_large_pieces_back()
    settings = app.ctx.settings
    resources = app.ctx.resources = AsyncExitStack()
    metrics.send_to(app.ctx.metrics_sender)
    await resources.enter_async_context(middleware.books())
    url = require_database(settings)
    await resources.enter_async_context(
        database(
            url,
            settings.database_pool_size,
            settings.database_pool_wait_seconds,
            settings.response_seconds + COMMAND_TIMEOUT_SECONDS,
            is_kept=True,
        )
    )
    # Probes: a pool that is full of slow queries is no database that is away.
    app.ctx.monitors = Monitors(await resources.enter_async_context(another(url, pool_size=1)))
    app.ctx.keys = KeyRing(settings)
    redis = limits.connect(settings.limits) if settings.limits else None
    if redis:
        resources.push_async_callback(redis.aclose)
    app.ctx.limits = await Limits.open(settings, redis, app.ctx.streams, resources)
    app.ctx.sessions = SessionList(redis)
    app.ctx.refusals = Refusals()
    resources.push_async_callback(app.ctx.refusals.write)
    resources.callback(asyncio.create_task(app.ctx.refusals.keep_writing()).cancel)
    app.ctx.revocations = Revocations()
    # Of those who need a transaction of their own a course that everybody wants may have a third of
    # the connections, two such courses one more.
    app.ctx.turns = Turns(max(1, settings.database_pool_size // 3))
    app.ctx.together = GroupCommit()
    app.ctx.storage = open_storage(settings)
    app.ctx.recent = Recent(
        app.ctx.storage, settings.image_memory_bytes, settings.image_memory_seconds
    )
    direct_url = require_direct_database(settings)
    feed = DatabaseFeed(direct_url, app.ctx.revocations, RemovedImages(app.ctx.recent.remove))
    resources.callback(asyncio.create_task(feed.follow()).cancel)
    shared = app.ctx.shared
    app.ctx.reports = Reports(shared, await _open_replica(settings, resources))
    resources.callback(asyncio.create_task(app.ctx.reports.follow()).cancel)
    app.ctx.cache = AnswerCache(
        open_store(settings.cache or "memory://", partial(answers.shape, app.ctx.storage.url)),
        memory_bytes=settings.cache_memory_bytes,
        shared=shared,
        owed=answers.owed,
    )
    await app.ctx.cache.start()
    app.ctx.shortcut = Shortcut(app.ctx.cache.hot, app.ctx.recent, app.ctx.limits, app.ctx.origins)
    resources.push_async_callback(app.ctx.cache.close)
    await resources.enter_async_context(gauges.shown(app.ctx.cache))
    resources.callback(asyncio.create_task(warm_up(app)).cancel)
    # First of all at the end: what must follow a commit needs what is opened above.
    resources.push_async_callback(drain)
    # What is there by now stays. To look at it again and again took the collector 0.1 to 0.2 s
    # each time, in which nobody was answered.
    gc.collect()
    gc.freeze()


async def _open_replica(settings: Settings, resources: AsyncExitStack) -> BaseDBAsyncClient | None:
    url = settings.database_replica_url
    if url is None:
        return None
    pool = (settings.database_pool_size, settings.database_pool_wait_seconds)
    return await resources.enter_async_context(another(url, *pool))


async def warm_up(app: Application) -> None:
    """Take into memory what is read most, at the start and whenever all of it has been lost.

    Requests are answered meanwhile.
    """
    context = app.ctx
    async for names in context.cache.wanted(context.settings.cache_warm_answers):
        await _warm(context, names)


async def _warm(context: Context, names: list[str]) -> None:
    while True:
        try:
            await answers.warm(context.cache, names, context.storage.url)
        except Exception:
            # Ended, it would leave memory cold from the next loss on, and nobody would know why.
            log.exception("cache_not_warmed")
        else:
            return
        await asyncio.sleep(WARM_AGAIN_SECONDS)


async def close_resources(app: Application) -> None:
    """Give the connections back."""
    await app.ctx.resources.aclose()
