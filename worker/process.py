"""A child of the worker: one event loop, one pool, one client for the whole life of the process."""

import asyncio
from contextlib import AsyncExitStack
from contextvars import Context, copy_context
from functools import partial
from uuid import UUID

from infra import logs
from infra.cache import Outpost, open_store
from infra.database import database
from infra.process import be_nice, die_with_parent
from infra.settings import load_settings, require_database
from infra.storage import open_storage
from services import answers
from tasks.registry import load_tasks
from worker.execution import Backends, execute

# A child runs one task at a time: one connection for it and one for its heartbeat.
POOL_SIZE = 2


class WorkerProcess:
    """What lives as long as the process, made after the fork."""

    def __init__(self, worker: str) -> None:
        die_with_parent()
        be_nice()
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format, process="worker")
        # The standard loop: with uvloop Celery's soft time limit never fires in a task.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._resources = AsyncExitStack()
        self._runner.run(
            self._resources.enter_async_context(database(require_database(settings), POOL_SIZE))
        )
        storage = open_storage(settings)
        shape = partial(answers.shape, storage.url)
        cache = Outpost(open_store(settings.cache or "memory://", shape))
        self._resources.push_async_callback(cache.close)
        self._backends = Backends(settings, storage, cache, load_tasks(), worker)
        self._context = self._runner.run(_current_context())

    def run(self, task_id: UUID) -> str | None:
        """Run a task to its end; return its state, None when it was not to be had."""
        # A context for each: Tortoise leaves a transaction in it whose connection was cut, and in
        # the runner's own every later task would use that one.
        return self._runner.run(execute(self._backends, task_id), context=self._context.copy())

    def close(self) -> None:
        """Close the pool and the loop."""
        self._runner.run(self._resources.aclose())
        self._runner.close()


async def _current_context() -> Context:
    return copy_context()
