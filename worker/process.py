"""A process of the worker: one event loop, pool and client for all its tasks."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import Context, copy_context
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

from infra.cache import ResponseCache, open_level
from infra.db.engine import COMMAND_TIMEOUT_SECONDS, UNUSABLE, database, pop_expired_leases
from infra.observability import logs, metrics, tracing
from infra.observability.events import Event
from infra.process.system import die_with_parent, lower_priority
from infra.queue import hooks
from infra.settings import Use, load_settings, require_database, require_direct_database
from infra.storage import open_storage
from services.audit import trail
from services.catalogue import read
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.task_hooks import TaskHooks
from tasks.registry import SPARE_CONNECTIONS, load_tasks, most_at_once
from worker.execution import Backends, ThreadLeftBehind, execute
from worker.heartbeat import Heartbeat
from worker.stops import Stops

_last_line = b""

log = logs.get_logger(__name__)


class WorkerProcess:
    """The resources of a worker process, created after the fork."""

    def __init__(self, worker: str, parent: int, stops: Stops) -> None:
        die_with_parent(parent=parent)
        lower_priority()
        settings = load_settings(uses=Use.QUEUE)
        logs.configure(settings.log_level, settings.log_format, process="worker")
        tracing.start(settings, "worker")
        # The standard loop: with uvloop Celery's soft time limit never fires in a task.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        # Rendered in advance: without memory it cannot be rendered.
        global _last_line  # noqa: PLW0603  the process's
        _last_line = logs.render_line(Event.WORKER_PROCESS_HAS_NO_MEMORY, __name__)
        self._runner.get_loop().set_exception_handler(_end_without_memory)
        self._resources = AsyncExitStack()
        self._resources.callback(tracing.stop)
        registry = load_tasks()
        # No transaction outlasts its task's time limit and one more statement.
        lease = max(kind.timeout for kind in registry.values()) + COMMAND_TIMEOUT_SECONDS
        size = most_at_once() + SPARE_CONNECTIONS
        pool = database(require_database(settings), size, lease=lease)
        self._runner.run(self._resources.enter_async_context(pool))
        storage = open_storage(settings) if settings.storage or not settings.task_app else None
        namespace: Callable[[], Awaitable[str]] | None = None
        flags: FlagFeed | None = None
        if settings.task_app:
            trail.keep_in_log_only()
        elif storage:
            namespace = partial(read.namespace, storage.url)
            flags = FlagFeed(Flags(), settings.flags_at)
            self._runner.run(flags.start())
            self._resources.push_async_callback(flags.stop)
        level = open_level(settings.cache or "memory://", namespace)
        cache = ResponseCache(level, memory_bytes=0)
        self._resources.push_async_callback(cache.close)
        self._resources.enter_context(hooks.registered(TaskHooks(cache)))
        heartbeat = Heartbeat(require_direct_database(settings))
        heartbeat.start()
        self._resources.callback(heartbeat.stop)
        parts = settings, storage, cache, flags, registry
        self._backends = Backends(*parts, worker, heartbeat, stops)
        self._context = self._runner.run(_current_context())
        # The public reason of the last failed attempt.
        self.error = ""

    def run(self, task_id: UUID, name: str) -> str | None:
        """Run a task to its end, and others beside it if its kind says so.

        Returns:
            Its state; None if it could not be claimed.

        """
        is_hint = self._backends.registry[name].concurrency_per_process > 1
        # A context per task: Tortoise leaves a transaction with a broken connection in its context,
        # and in a shared context all later tasks would use it.
        try:
            ended = execute(self._backends, task_id, self._note, is_hint=is_hint)
            return self._runner.run(ended, context=self._context.copy())
        except UNUSABLE as error:
            # The row keeps the state of the task, and its lease lapses.
            log.warning(Event.TASK_LOST_DATABASE, task_id=str(task_id), error=str(error))
            return None
        except MemoryError:
            _end(_last_line)
        except ThreadLeftBehind:
            log.warning(Event.WORKER_PROCESS_LEAVES_THREAD, task_id=str(task_id))
            metrics.flush()
            logs.drain()
            _end()
        finally:
            self._count()

    def _count(self) -> None:
        counts = self._backends.cache.counts.take()
        metrics.cache_errors.inc(counts.errors)
        metrics.cache_invalidations.inc(counts.invalidations)
        metrics.leases_expired.inc(pop_expired_leases())
        metrics.flush()

    def _note(self, error: str) -> None:
        self.error = error

    def close(self) -> None:
        """Close the pool and the loop."""
        self._runner.run(self._resources.aclose())
        metrics.flush()
        self._runner.close()
        logs.drain()


def _end_without_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle errors of callbacks; after a MemoryError in one a connection may be broken."""
    if isinstance(context.get("exception"), MemoryError):
        _end(_last_line)
    loop.default_exception_handler(context)


def _end(line: bytes = b"") -> NoReturn:
    """Write a line and end the process at once; Celery starts another.

    A process without memory may hang in any call. Another process takes a running task when its
    lease has lapsed.
    """
    logs.write_last(line)
    os._exit(os.EX_OSERR)


async def _current_context() -> Context:
    return copy_context()
