"""Ends a process on a signal: gracefully at the first one, at once at the second."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Enough for a command to cancel its statement and roll back its transaction.
GRACE_SECONDS = 3.0
# After a signal that came where no exception leaves, as in the callback of a weak reference.
AGAIN_SECONDS = 0.01

_received: int | None = None


def stop_signals() -> frozenset[signal.Signals]:
    """Return the signals that end this process: all but those that its caller ignores."""
    return frozenset(each for each in _STOPPING if signal.getsignal(each) != signal.SIG_IGN)


class Stopped(KeyboardInterrupt):
    """A signal ends the process; `except Exception` doesn't catch it."""


def raise_on_signal() -> None:
    """Raise `Stopped` in the main thread at the first signal; a second one ends the process."""
    for signum in stop_signals():
        signal.signal(signum, _raise)


def _raise(signum: int, _frame: FrameType | None) -> NoReturn:
    _record(signum)
    signal.signal(signal.SIGALRM, _raise_again)
    _raise_again()


def _raise_again(*_: object) -> NoReturn:
    report = sys.unraisablehook

    def again(lost: "sys.UnraisableHookArgs") -> None:
        if isinstance(lost.exc_value, Stopped):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            report(lost)

    sys.unraisablehook = again
    raise Stopped


def _record(signum: int) -> None:
    global _received  # noqa: PLW0603  a signal is for the whole process
    _received = signum
    end_on_signal()


def received_signal() -> int | None:
    """Return the signal that ends this process, if there was one."""
    return _received


def end_on_signal() -> None:
    """End the process at the next signal, or at one that came with the first.

    A handler that sets defaults would make the interpreter report the signals that wait for theirs.
    """
    for signum in stop_signals():
        signal.signal(signum, _end)


def _end(signum: int, _frame: FrameType | None) -> NoReturn:
    exit_by_signal(signum)


def restore_defaults() -> None:
    """Restore the default handlers, for the interpreter's end; not within a handler."""
    with suppress(Stopped):
        for signum in stop_signals():
            signal.signal(signum, signal.SIG_DFL)


def exit_by_signal(signum: int) -> NoReturn:
    """End by a signal, as the waiting shell or supervisor expects."""
    signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # reached if the signal is ignored, as in process 1 of a container


def run(
    main: Coroutine[Any, Any, T],
    *,
    grace_seconds: float = GRACE_SECONDS,
    runner: asyncio.Runner | None = None,
) -> T:
    """Run a coroutine in a new event loop; a signal cancels it.

    The signal ends the process if the coroutine takes longer than `grace_seconds` to end, and a
    second signal ends it at once.

    Raises:
        Stopped: a signal came.

    """
    before = _received
    try:
        with runner or asyncio.Runner() as new_loop:
            result = new_loop.run(_cancellable(main, grace_seconds))
    finally:
        if _received is None:
            raise_on_signal()
    if _received != before:  # it came after the end of `main`
        raise Stopped
    return result


async def _cancellable(main: Coroutine[Any, Any, T], grace_seconds: float) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)

    def cancel(signum: int) -> None:
        loop.call_later(grace_seconds, exit_by_signal, signum)
        task.cancel()

    def stop(signum: int, _frame: FrameType | None) -> None:
        _record(signum)
        _call_soon(loop, cancel, signum)

    for signum in stop_signals():
        signal.signal(signum, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if _received is None:
            raise
        raise Stopped from None


def call_on_signal(signum: int, callback: Callable[[], object]) -> None:
    """Call this in the running event loop at each such signal, as long as the loop runs.

    While a loop closes, signals for its own `add_signal_handler` are lost, and the interpreter
    reports them.
    """
    loop = asyncio.get_running_loop()
    signal.signal(signum, lambda *_: _call_soon(loop, callback))


def _call_soon(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any
) -> None:
    with suppress(RuntimeError):  # the loop has closed
        loop.call_soon_threadsafe(callback, *args)
