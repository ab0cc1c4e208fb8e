"""How a process ends when a signal asks it to: once in order, the second time at once."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# For a command to give back what it has: a statement is cancelled, a transaction rolled back.
GRACE_SECONDS = 3.0

_received: int | None = None


def stopping() -> frozenset[signal.Signals]:
    """Return the signals that end this process: all but those that its caller has ignored."""
    return frozenset(each for each in _STOPPING if signal.getsignal(each) != signal.SIG_IGN)


class Stopped(KeyboardInterrupt):
    """A signal has asked the process to end; it passes every `except Exception`."""


def raise_stopped() -> None:
    """Raise `Stopped` in the main thread at the first signal; a second one ends the process."""
    for signum in stopping():
        signal.signal(signum, _raise)


def _raise(signum: int, _frame: FrameType | None) -> NoReturn:
    _note(signum)
    raise Stopped


def _note(signum: int) -> None:
    global _received  # noqa: PLW0603  a signal is the whole process's
    _received = signum
    restore_defaults()


def received() -> int | None:
    """Return the signal that has asked this process to end, if one has."""
    return _received


def restore_defaults() -> None:
    """Let the next signal end the process at once."""
    for signum in stopping():
        signal.signal(signum, signal.SIG_DFL)


def end_by(signum: int) -> NoReturn:
    """End by a signal, as the shell or supervisor that waits for this process expects."""
    signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # reached where the signal is ignored, as for process 1 of a container


def run(
    main: Coroutine[Any, Any, T],
    *,
    grace_seconds: float = GRACE_SECONDS,
    runner: asyncio.Runner | None = None,
) -> T:
    """Run a coroutine in an event loop of its own; a signal cancels it.

    The process ends by that signal when the coroutine takes longer than `grace_seconds` to end, or
    at a second signal.

    Raises:
        Stopped: a signal came.

    """
    try:
        with runner or asyncio.Runner() as loop_of_its_own:
            return loop_of_its_own.run(_cancellable(main, grace_seconds))
    finally:
        if _received is None:
            raise_stopped()  # the end of the loop took its handlers away


async def _cancellable(main: Coroutine[Any, Any, T], grace_seconds: float) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)

    def stop(signum: int) -> None:
        for each in stopping():
            loop.remove_signal_handler(each)
        _note(signum)
        loop.call_later(grace_seconds, end_by, signum)
        task.cancel()

    for signum in stopping():
        loop.add_signal_handler(signum, stop, signum)
    try:
        return await task
    except asyncio.CancelledError:
        if _received is None:
            raise
        raise Stopped from None
