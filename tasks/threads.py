"""What a task that is a plain function is given: it runs in a thread, its database on the loop."""

import asyncio
import concurrent.futures
import inspect
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from infra.queue.errors import LeaseLost
from tasks.registry import PermanentError, TaskBody, TaskContext

# For the thread of an attempt that was given up to end by itself.
THREAD_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class ThreadTaskContext:
    """What a running plain function may use: what a coroutine has, called from its thread.

    Coroutine functions, such as all of `services` and of `storage`, run by `run`.
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
            LeaseLost: the task is another's by now, was cancelled or took too long; let it pass.
            RuntimeError: it was called on the event loop, which would wait for itself.

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
            LeaseLost: the task is another's by now, was cancelled or took too long; let it pass.

        """
        self.run(self._context.progress, percent)

    def finish_with(
        self, writes: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Commit a coroutine function's database writes together with `succeeded`, or none.

        Raises:
            LeaseLost: the task is another's by now, was cancelled or took too long; let it pass.

        """

        async def finish() -> T:
            async with self._context.finishing():
                return await writes(*args, **kwargs)

        return self.run(finish)

    async def abandon(self) -> None:
        """Refuse all further calls of the thread, and cancel those under way."""
        self._is_abandoned = True
        if calls := {call for call in self._calls if call}:
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)


class BodyThread:
    """The thread of a plain function, which nothing can stop: it can only be waited for.

    Given up, the attempt has no more effects in the database, for it is fenced and its calls are
    refused; what it does elsewhere goes on until the process ends.
    """

    def __init__(self, body: TaskBody) -> None:
        self._body = body
        self._ended: asyncio.Future[object] | None = None

    async def run(self, context: TaskContext, args: dict[str, Any]) -> None:
        """Call the function in a thread; cancelled, abandon it there.

        Raises:
            PermanentError: it returned an awaitable, which a thread does not await.

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
        """Return whether the thread ends in a moment, if it has not yet."""
        if self._ended is None:
            return True
        await asyncio.wait({self._ended}, timeout=THREAD_SECONDS)
        if self._ended.done():
            self._ended.exception()  # retrieved, it is not logged
        return self._ended.done()


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
