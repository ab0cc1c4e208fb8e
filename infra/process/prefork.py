"""A parent and the processes that it forks: started again when they die, ended with it.

The parent has no thread, no event loop and no signal handler. It keeps its signals blocked and
waits for them, so that there is no moment at which one is lost or interrupts something.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Self

from infra.observability import logs
from infra.process.signals import restore_defaults, stopping
from infra.process.system import die_with_parent

# A program that wraps this one may pass on a signal that its process group got, too.
SAME_SIGNAL_SECONDS = 0.5
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 10.0
EXIT_OK, EXIT_FAILED = 0, 1

log = logs.get_logger(__name__)

# Says what went wrong in a process, and returns its exit code.
Explain = Callable[[BaseException], int]
Ready = Callable[[], None]


@dataclass
class _Child:
    """A process that runs, or the pause before it is started again."""

    number: int
    work: Callable[[Ready], object]
    pid: int = 0
    ready: int = -1  # the pipe in which it says that it is
    has_been_ready: bool = False
    start_at: float = 0.0
    delay: float = FIRST_DELAY_SECONDS


class Prefork:
    """Processes of one parent; all have ended when its `with` block has."""

    def __init__(self, explain: Explain, grace_seconds: float) -> None:
        self._explain = explain
        self._grace_seconds = grace_seconds
        self._parent = os.getpid()
        self._stopping = stopping()
        self._awaited = self._stopping | {signal.SIGCHLD}
        self._children: list[_Child] = []
        self._stopped_at = 0.0

    def __enter__(self) -> Self:
        """Block the signals; they stay blocked, for after this block there is only the end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._awaited)
        # An ignored SIGCHLD, as a caller may leave it, would never be pending.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still runs."""
        self._kill()
        for child in self._running():
            os.waitpid(child.pid, 0)

    def run(self, work: Callable[[], object]) -> int:
        """Do something in a process of its own, and return that one's exit code.

        A signal ends it; `keep` then starts nothing.
        """
        codes: list[int] = []
        self._children = [child := _Child(0, lambda _ready: work())]
        self._start(child)
        while self._running():
            self._wait(self._stop_nothing)
            codes += [code for _, code in self._reap()]
        return EXIT_OK if self._stopped_at else codes[0]

    def keep(
        self,
        works: Sequence[Callable[[Ready], object]],
        on_stop: Callable[[], None],
        on_end: Callable[[int], None],
    ) -> int:
        """Keep a process for each work running until a signal comes; return the exit code.

        A process says when it is ready. One that ends after it
        was ready is started again; one that ends before that ends all. `on_stop` is called before
        they are asked to end, `on_end` with the number of one that has ended.
        """
        code = EXIT_OK
        self._children = [_Child(*each) for each in enumerate(works)]
        while self._running() or not self._stopped_at:
            for child in () if self._stopped_at else self._children:
                if not child.pid and time.monotonic() >= child.start_at:
                    self._start(child)
            self._wait(on_stop)
            for child, ended in self._reap():
                on_end(child.number)
                if self._stopped_at:
                    continue
                if not child.has_been_ready:
                    code = ended if ended > 0 else EXIT_FAILED
                    self._stop(on_stop)
                    continue
                child.start_at = time.monotonic() + child.delay
                again = {"exit_code": ended, "again_in_seconds": child.delay}
                log.warning("process_ended", number=child.number, **again)
        return code

    @staticmethod
    def _stop_nothing() -> None:
        pass

    def _wait(self, on_stop: Callable[[], None]) -> None:
        """Wait until a child has ended or has to start, or until all have to end."""
        now = time.monotonic()
        if self._stopped_at:
            until: float | None = self._stopped_at + self._grace_seconds
        else:
            until = min((each.start_at for each in self._children if not each.pid), default=None)
        if until is None:
            signum: int | None = signal.sigwait(self._awaited)
        else:
            found = signal.sigtimedwait(self._awaited, max(0.05, until - now))
            signum = found and found.si_signo
        if signum in self._stopping:
            self._stop(on_stop)
        elif self._stopped_at and time.monotonic() > self._stopped_at + self._grace_seconds:
            log.warning("processes_killed", after_seconds=self._grace_seconds)
            self._kill()

    def _stop(self, on_stop: Callable[[], None]) -> None:
        now = time.monotonic()
        if not self._stopped_at:
            self._stopped_at = now
            on_stop()
            for child in self._running():
                os.kill(child.pid, signal.SIGTERM)
        elif now - self._stopped_at > SAME_SIGNAL_SECONDS:
            self._kill()

    def _kill(self) -> None:
        for child in self._running():
            # Its own group, if it has one by now: no other group has this number.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            os.kill(child.pid, signal.SIGKILL)

    def _running(self) -> list[_Child]:
        return [child for child in self._children if child.pid]

    def _reap(self) -> Iterator[tuple[_Child, int]]:
        for child in self._running():
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if not pid:
                continue
            child.pid = 0
            was_ready = os.read(child.ready, 1) != b""
            os.close(child.ready)
            if was_ready:
                child.has_been_ready, child.delay = True, FIRST_DELAY_SECONDS
            else:
                child.delay = min(2 * child.delay, LONGEST_DELAY_SECONDS)
            yield child, os.waitstatus_to_exitcode(status)

    def _start(self, child: _Child) -> None:
        child.ready, told = os.pipe()
        os.set_blocking(child.ready, False)
        sys.stdout.flush()
        sys.stderr.flush()
        child.pid = os.fork()
        if not child.pid:
            self._become(child.work, told)
        os.close(told)

    def _become(self, work: Callable[[Ready], object], told: int) -> NoReturn:
        """Be the child: leave the caller's group first, then let signals in, then work."""

        def ready() -> None:
            os.write(told, b".")

        code = EXIT_FAILED
        try:
            os.setsid()
            die_with_parent(parent=self._parent)
            restore_defaults()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._awaited)
            work(ready)
            code = EXIT_OK
        except BaseException as error:  # noqa: BLE001  a child must not return into its parent's code
            with suppress(BaseException):
                code = self._explain(error)
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
