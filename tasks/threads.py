"""Tasks that are plain functions: they run in a thread, their database calls on the event loop."""

import asyncio
import concurrent.futures
import inspect
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from infra.queue.errors import LeaseLost
from tasks.registry import PermanentError, TaskBody, TaskContext

# How long the thread of an abandoned attempt may take to end by itself.
THREAD_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class ThreadTaskContext:
    """The context of a plain function: a `TaskContext` whose methods are called from its thread.

    `run` calls coroutine functions, such as all of `services` and of `storage`.
    """

    def __init__(self, context: TaskContext) -> None:
        self.id = context.id
        self.attempt = context.attempt
        self.settings = context.settings
        self.storage = context.storage
        self.cache = context.cache
        self.log = context.log
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._calls: set[asyncio.Task[object] | None] = set()
        self._is_abandoned = False

    def run(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function on the process's event loop; return what it returns.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.
            RuntimeError: it was called on the event loop, where it would deadlock.

        """
        if _is_on_loop():
            raise RuntimeError("`context.run` is for the task's thread; on the event loop, await")

        async def call() -> T:
            if self._is_abandoned:
                raise LeaseLost
            task = asyncio.current_task()
            self._calls.add(task)
            try:
                return await function(*args, **kwargs)
            finally:
                self._calls.discard(task)

        try:
            return asyncio.run_coroutine_threadsafe(call(), self._loop).result()
        except concurrent.futures.CancelledError:
            raise LeaseLost from None

    def progress(self, percent: int) -> None:
        """Report how far the work is, 0 to 100.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """
        self.run(self._context.progress, percent)

    def finish_with(
        self, writes: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Commit a coroutine function's database writes together with `succeeded`, or none.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """

        async def finish() -> T:
            async with self._context.finishing():
                return await writes(*args, **kwargs)

        return self.run(finish)

    async def abandon(self) -> None:
        """Refuse all further calls of the thread, and cancel the running ones."""
        self._is_abandoned = True
        if calls := {call for call in self._calls if call}:
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)


class BodyThread:
    """The thread of a plain function; Python cannot stop a thread, only wait for it.

    An abandoned attempt has no more effects in the database: its fence is old, and its calls are
    refused. Its other effects go on until the process ends.
    """

    def __init__(self, body: TaskBody) -> None:
        self._body = body
        self._ended: asyncio.Future[object] | None = None

    async def run(self, context: TaskContext, args: dict[str, Any]) -> None:
        """Call the function in a thread; abandon it if cancelled.

        Raises:
            PermanentError: the function returned an awaitable, which a thread cannot await.

        """
        own = ThreadTaskContext(context)
        call = partial(copy_context().run, self._body, own, **args)
        self._ended = asyncio.get_running_loop().run_in_executor(None, call)
        try:
            result = await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            await own.abandon()
            raise
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise PermanentError(
                "The task's function is a plain one and returned a coroutine; it needs `async def`"
            )

    async def has_ended(self) -> bool:
        """Return whether the thread ends within `THREAD_SECONDS`."""
        if self._ended is None:
            return True
        await asyncio.wait({self._ended}, timeout=THREAD_SECONDS)
        if self._ended.done():
            self._ended.exception()  # asyncio logs exceptions that are not retrieved
        return self._ended.done()


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
