"""What a server process opens before it accepts requests, and closes after the last."""

import asyncio
import gc
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial

from tortoise import BaseDBAsyncClient

from api import gauges, middleware
from api.context import Application, Context
from api.limits import Limits
from api.monitors import Monitors
from api.shortcut import Shortcut
from infra import limits, logs, metrics
from infra.cache import AnswerCache, open_store
from infra.database import COMMAND_TIMEOUT_SECONDS, another, database
from infra.feed import DatabaseFeed
from infra.keys import KeyRing
from infra.process import give_large_pieces_back
from infra.replica import Reports
from infra.session_list import SessionList
from infra.settings import require_database, require_direct_database
from infra.shield import drain
from infra.storage import open_storage
from infra.storage.recent import Recent
from services import answers
from services.group_commit import GroupCommit
from services.refusals import Refusals
from services.removed_images import RemovedImages
from services.revocations import Revocations
from services.turns import Turns

# A database that is down or busy gets no more warming than this.
WARM_AGAIN_SECONDS = 2.0

log = logs.get_logger(__name__)


async def open_resources(app: Application) -> None:
    """Connect this server process to what it needs; at the end it is closed in reverse."""
    give_large_pieces_back()
    context = app.ctx
    context.resources = AsyncExitStack()
    metrics.send_to(context.metrics_sender)
    await context.resources.enter_async_context(middleware.books())
    await _open_database(context)
    context.keys = KeyRing(context.settings)
    await _open_limits(context)
    _open_audit(context)
    _open_enrollments(context)
    _open_images(context)
    _follow_database(context)
    await _open_replica(context)
    await _open_cache(context)
    _start(context, warm_up(context))
    # Closed first: what follows a commit needs the resources above.
    context.resources.push_async_callback(drain)
    _freeze_memory()


async def close_resources(app: Application) -> None:
    """Close the connections."""
    await app.ctx.resources.aclose()


async def _open_database(context: Context) -> None:
    settings, url = context.settings, require_database(context.settings)
    await context.resources.enter_async_context(
        database(
            url,
            settings.database_pool_size,
            settings.database_pool_wait_seconds,
            settings.response_seconds + COMMAND_TIMEOUT_SECONDS,
            is_kept=True,
        )
    )
    # Health checks have a connection of their own: a pool full of slow queries is still connected.
    probe = await context.resources.enter_async_context(another(url, pool_size=1))
    context.monitors = Monitors(probe)


async def _open_limits(context: Context) -> None:
    settings = context.settings
    redis = limits.connect(settings.limits) if settings.limits else None
    if redis:
        context.resources.push_async_callback(redis.aclose)
    context.limits = await Limits.open(settings, redis, context.streams, context.resources)
    context.sessions = SessionList(redis)


def _open_audit(context: Context) -> None:
    context.refusals = Refusals()
    context.resources.push_async_callback(context.refusals.write)
    _start(context, context.refusals.keep_writing())


def _open_enrollments(context: Context) -> None:
    # Enrolments that need their own transaction: a busy course may use a third of the connections,
    # a second busy course one more.
    context.turns = Turns(max(1, context.settings.database_pool_size // 3))
    context.together = GroupCommit()


def _open_images(context: Context) -> None:
    settings = context.settings
    context.storage = open_storage(settings)
    context.recent = Recent(
        context.storage, settings.image_memory_bytes, settings.image_memory_seconds
    )


def _follow_database(context: Context) -> None:
    context.revocations = Revocations()
    removed = RemovedImages(context.recent.remove)
    url = require_direct_database(context.settings)
    _start(context, DatabaseFeed(url, context.revocations, removed).follow())


async def _open_replica(context: Context) -> None:
    settings = context.settings
    replica: BaseDBAsyncClient | None = None
    if settings.database_replica_url:
        pool = (settings.database_pool_size, settings.database_pool_wait_seconds)
        replica = await context.resources.enter_async_context(
            another(settings.database_replica_url, *pool)
        )
    context.reports = Reports(context.shared, replica)
    _start(context, context.reports.follow())


async def _open_cache(context: Context) -> None:
    settings = context.settings
    context.cache = AnswerCache(
        open_store(settings.cache or "memory://", partial(answers.shape, context.storage.url)),
        memory_bytes=settings.cache_memory_bytes,
        shared=context.shared,
        owed=answers.owed,
    )
    await context.cache.start()
    context.resources.push_async_callback(context.cache.close)
    context.shortcut = Shortcut(context.cache.hot, context.recent, context.limits, context.origins)
    await context.resources.enter_async_context(gauges.shown(context.cache))


async def warm_up(context: Context) -> None:
    """Fill memory with what is read most, at the start and after each loss of all of it.

    Requests are answered meanwhile.
    """
    async for names in context.cache.wanted(context.settings.cache_warm_answers):
        await _warm(context, names)


async def _warm(context: Context, names: list[str]) -> None:
    while True:
        try:
            await answers.warm(context.cache, names, context.storage.url)
        except Exception:
            # The loop has to go on: without it memory would stay cold after the next loss.
            log.exception("cache_not_warmed")
        else:
            return
        await asyncio.sleep(WARM_AGAIN_SECONDS)


def _start(context: Context, work: Coroutine[None, None, None]) -> None:
    """Run the work beside the requests until the process closes its resources."""
    context.resources.callback(asyncio.create_task(work).cancel)


def _freeze_memory() -> None:
    """Exempt what is loaded by now from garbage collection, which stops all requests meanwhile."""
    gc.collect()
    gc.freeze()
