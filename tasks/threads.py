"""Tasks that are plain functions: they run in a thread, their database calls on the event loop."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from infra.queue.errors import LeaseLost
from infra.queue.results import Predecessor
from infra.storage import Storage
from services.flags.evaluate import Flags
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
        self.cache = context.cache
        self.log = context.log
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._calls: set[asyncio.Task[object] | None] = set()
        # The transactions of `finishing`, which end after the calls in them.
        self._blocks: set[asyncio.Task[object] | None] = set()
        self._block_context: Context | None = None
        self._is_abandoned = False

    @property
    def storage(self) -> Storage:
        """The image store.

        Raises:
            NoBackend: the application's settings name none.

        """
        return self._context.storage

    def run(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function on the process's event loop; return what it returns.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.
            RuntimeError: it was called on the event loop, where it would deadlock.

        """
        return _result(self._submit(partial(function, *args, **kwargs), self._calls))

    def progress(self, percent: int) -> None:
        """Report how far the work is, 0 to 100; long work calls it to notice a cancellation.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """
        self.run(self._context.progress, percent)

    def checkpoint(self) -> dict[str, Any] | None:
        """Return what `save` stored last, also by an earlier attempt.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """
        return self.run(self._context.checkpoint)

    def save(self, checkpoint: dict[str, Any], percent: int) -> None:
        """Store how far the work is.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """
        self.run(self._context.save, checkpoint, percent)

    def flags(self) -> Flags:
        """Return the feature flags as they are now; call it before `finishing`.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """
        return self.run(self._context.flags)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Commit what the block writes by `run` together with `succeeded`, or none of it.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """
        opened: Future[Context] = Future()
        ended: asyncio.Future[bool] = self._loop.create_future()

        async def hold() -> None:
            async with self._context.finishing():
                opened.set_result(copy_context())
                # Nothing commits for a body that has caught the error of an abandoned call.
                if not await ended or self._is_abandoned:
                    raise LeaseLost

        def end(is_committed: bool) -> None:  # noqa: FBT001  a callback
            if not ended.done():
                ended.set_result(is_committed)

        block = self._submit(hold, self._blocks)
        block.add_done_callback(lambda _: opened.cancel())
        try:
            self._block_context = opened.result()
        except CancelledError:
            _result(block)
        try:
            yield
        except BaseException:
            self._loop.call_soon_threadsafe(end, False)  # noqa: FBT003  a callback's argument
            wait({block})
            raise
        finally:
            self._block_context = None
        self._loop.call_soon_threadsafe(end, True)  # noqa: FBT003  a callback's argument
        _result(block)

    def predecessors(self) -> dict[str, Predecessor]:
        """Return the tasks that this one has waited for, by the names that it has for them."""
        return self.run(self._context.predecessors)

    def set_result(self, result: object) -> None:
        """Set the result that `finish_with` stores.

        Raises:
            InvalidResult: it is no JSON, or too large.

        """
        self._context.set_result(result)

    def finish_with(
        self, writes: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Commit a coroutine function's database writes together with `succeeded`, or none.

        Raises:
            LeaseLost: another run has the task, or it was cancelled or too slow; do not catch it.

        """
        with self.finishing():
            return self.run(writes, *args, **kwargs)

    async def abandon(self) -> None:
        """Refuse all further calls of the thread, cancel the running ones, and roll back."""
        self._is_abandoned = True
        # First what uses a transaction's connection, then the transaction.
        for running in (self._calls, self._blocks):
            if calls := {call for call in running if call}:
                for call in calls:
                    call.cancel()
                await asyncio.wait(calls)

    def _submit(
        self, function: Callable[[], Awaitable[T]], running: set[asyncio.Task[object] | None]
    ) -> Future[T]:
        """Start a call on the event loop, in the transaction of `finishing` if one is open."""
        if _is_on_loop():
            raise RuntimeError("`context.run` is for the task's thread; on the event loop, await")

        async def call() -> T:
            if self._is_abandoned:
                raise LeaseLost
            task = asyncio.current_task()
            running.add(task)
            try:
                return await function()
            finally:
                running.discard(task)

        # A copy, because threads of the body may call at the same time.
        context = (self._block_context or copy_context()).copy()
        return context.run(asyncio.run_coroutine_threadsafe, call(), self._loop)


def _result(call: Future[T]) -> T:
    try:
        return call.result()
    except CancelledError:
        raise LeaseLost from None


class BodyThread:
    """The thread of a plain function; Python cannot stop a thread, only wait for it.

    An abandoned attempt has no more effects in the database: its fence is old, and its calls are
    refused. Its other effects go on until the process ends.
    """

    def __init__(self, body: TaskBody) -> None:
        self._body = body
        self._ended: asyncio.Future[object] | None = None

    async def run(self, context: TaskContext, args: dict[str, Any]) -> object:
        """Call the function in a thread, and return what it returns; abandon it if cancelled.

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
        return result

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
