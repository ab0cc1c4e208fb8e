"""Opens a server process's resources before the first request and closes them after the last."""

import asyncio
import gc
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial

from api import collectors, middleware
from api.context import Application, Context
from api.health import HealthQueries
from api.protocol.fast_path import FastPath
from api.security.rate_limits import Limits
from infra import rate_limits
from infra.aio.shield import drain
from infra.cache import CacheDown, ResponseCache, open_level
from infra.db import dsn
from infra.db.engine import COMMAND_TIMEOUT_SECONDS, database, open_pool
from infra.db.feed import DatabaseFeed
from infra.db.replica import ReplicaRouter
from infra.key_ring import KeyRing
from infra.observability import logs, metrics, tracing
from infra.observability.events import Event
from infra.process.system import tune_malloc
from infra.queue import hooks
from infra.session_list import SessionList
from infra.settings import require_database, require_direct_database
from infra.storage import open_storage
from infra.storage.object_cache import ObjectCache
from services.audit.denied import DeniedAudit
from services.auth.revocations import Revocations
from services.catalogue import read
from services.catalogue.feed import CATALOGUE_POLL_SECONDS, CatalogueFeed
from services.enrollments.enroll import Enroller
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.images.removals import RemovedImages
from services.task_hooks import TaskHooks

# Minimum pause between two warm-ups, to spare a database that is down or busy.
WARM_AGAIN_SECONDS = 2.0

log = logs.get_logger(__name__)


async def open_resources(app: Application) -> None:
    """Open this process's resources; `close_resources` closes them in reverse order."""
    tune_malloc()
    context = app.ctx
    context.resources = AsyncExitStack()
    tracing.start(context.settings, "api")
    context.resources.callback(tracing.stop)
    metrics.set_sender(context.metrics_sender)
    await context.resources.enter_async_context(middleware.flush_telemetry())
    await _open_database(context)
    context.keys = KeyRing(context.settings)
    await _open_limits(context)
    _open_audit(context)
    _open_images(context)
    await _open_flags(context)
    _follow_database(context)
    await _open_replica(context)
    await _open_cache(context)
    pool_size = context.settings.database_pool_size
    context.enroller = Enroller(context.cache, context.storage.url, pool_size)
    _start(context, warm_up(context))
    # Runs first at the close, because follow-ups of commits need the resources above.
    context.resources.push_async_callback(drain)
    _freeze_memory()


async def close_resources(app: Application) -> None:
    """Close the resources."""
    await app.ctx.resources.aclose()


async def _open_database(context: Context) -> None:
    settings, url = context.settings, require_database(context.settings)
    await context.resources.enter_async_context(
        database(
            url,
            settings.database_pool_size,
            settings.database_pool_wait_seconds,
            settings.response_seconds + COMMAND_TIMEOUT_SECONDS,
            prewarm=True,
        )
    )
    # A separate connection, so that health checks do not fail when slow queries fill the pool.
    probe = await context.resources.enter_async_context(open_pool(url, pool_size=1))
    context.health = HealthQueries(probe)


async def _open_limits(context: Context) -> None:
    settings = context.settings
    redis = rate_limits.connect(settings.limits) if settings.limits else None
    if redis:
        context.resources.push_async_callback(redis.aclose)
    context.limits = await Limits.open(settings, redis, context.streams, context.resources)
    context.sessions = SessionList(redis)


def _open_audit(context: Context) -> None:
    context.denied_audit = DeniedAudit()
    context.resources.push_async_callback(context.denied_audit.flush)
    _start(context, context.denied_audit.run())


def _open_images(context: Context) -> None:
    settings = context.settings
    context.storage = open_storage(settings)
    context.object_cache = ObjectCache(
        context.storage, settings.image_memory_bytes, settings.image_memory_seconds
    )


async def _open_flags(context: Context) -> None:
    context.flags = Flags()
    context.flag_feed = FlagFeed(context.flags, context.settings.flags_at)
    await context.flag_feed.start()
    context.resources.push_async_callback(context.flag_feed.stop)


def _follow_database(context: Context) -> None:
    context.revocations = Revocations()
    removed = RemovedImages(context.object_cache.remove)
    url = require_direct_database(context.settings)
    feed = DatabaseFeed(url, context.revocations, removed, context.flag_feed)
    _start(context, feed.follow())


async def _open_replica(context: Context) -> None:
    settings = context.settings
    pool = (settings.database_pool_size, settings.database_pool_wait_seconds)
    # A pool for each server: one lags while another is complete.
    urls = dsn.each_server(settings.database_replica_url) if settings.database_replica_url else {}
    replicas = [
        await context.resources.enter_async_context(open_pool(url, *pool)) for url in urls.values()
    ]
    context.replica_router = ReplicaRouter(context.change_ring, replicas)
    _start(context, context.replica_router.follow())


async def _open_cache(context: Context) -> None:
    settings = context.settings
    namespace = partial(read.namespace, context.storage.url)
    context.cache = ResponseCache(
        open_level(settings.cache or "memory://", namespace),
        memory_bytes=settings.cache_memory_bytes,
        stale_seconds=settings.stale_if_error_seconds,
        change_ring=context.change_ring,
    )
    context.resources.enter_context(hooks.registered(TaskHooks(context.cache)))
    context.resources.push_async_callback(context.cache.close)
    # A separate feed connection: processes trust memory only while its polls are on time.
    feed = DatabaseFeed(
        require_direct_database(settings),
        CatalogueFeed(context.cache),
        seconds=CATALOGUE_POLL_SECONDS,
    )
    _start(context, feed.follow())
    await context.cache.start(feed.wake)
    context.fast_path = FastPath(
        context.cache, context.object_cache, context.limits, context.origins
    )
    await context.resources.enter_async_context(collectors.collect_metrics(context))


async def warm_up(context: Context) -> None:
    """Fill memory with the most read responses, at the start and each time it is emptied.

    The process serves requests meanwhile.
    """
    cache, url_of = context.cache, context.storage.url
    while True:
        await cache.emptied.wait()
        cache.emptied.clear()
        try:
            names = await cache.level.top(context.settings.cache_warm_responses)
            await read.warm(cache, names, url_of, flags=context.flags)
        except CacheDown as error:
            log.debug(Event.CACHE_NOT_WARMED, error=str(error))
            cache.emptied.set()
        except Exception:
            # The loop must survive: without it memory stays cold after it is emptied again.
            log.exception(Event.CACHE_NOT_WARMED)
            cache.emptied.set()
        await asyncio.sleep(WARM_AGAIN_SECONDS)


def _start(context: Context, work: Coroutine[None, None, None]) -> None:
    """Run a background task until the process closes its resources."""
    context.resources.callback(asyncio.create_task(work).cancel)


def _freeze_memory() -> None:
    """Exempt all present objects from garbage collection, to shorten its pauses."""
    gc.collect()
    gc.freeze()
