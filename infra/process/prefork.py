"""A parent and its forked processes: it restarts those that die, and they end with it.

The parent has no thread, no event loop and no signal handler. It blocks its signals and waits for
them, so that none is lost or interrupts anything.
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
from infra.process.signals import restore_defaults, stop_signals
from infra.process.system import die_with_parent

# A wrapping program may forward a signal that its process group also received.
DUPLICATE_SIGNAL_SECONDS = 0.5
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 10.0
EXIT_OK, EXIT_FAILED = 0, 1

log = logs.get_logger(__name__)

# Reports an error that ended a process, and returns the exit code.
ReportError = Callable[[BaseException], int]
NotifyReady = Callable[[], None]


@dataclass
class _Child:
    """A running process, or the delay before its restart."""

    number: int
    job: Callable[[NotifyReady], object]
    pid: int = 0
    ready: int = -1  # the pipe to which it writes when it is ready
    has_been_ready: bool = False
    start_at: float = 0.0
    delay: float = FIRST_DELAY_SECONDS


class Prefork:
    """Forked processes; all have ended at the end of the `with` block."""

    def __init__(self, report_error: ReportError, grace_seconds: float) -> None:
        self._report_error = report_error
        self._grace_seconds = grace_seconds
        self._parent = os.getpid()
        self._stopping = stop_signals()
        self._signals = self._stopping | {signal.SIGCHLD}
        self._children: list[_Child] = []
        self._stopped_at = 0.0

    def __enter__(self) -> Self:
        """Block the signals; they stay blocked, because the process ends after this block."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        # A SIGCHLD that the caller ignored would never be pending.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the processes that still run."""
        self._kill()
        for child in self._running():
            os.waitpid(child.pid, 0)

    def run(self, job: Callable[[], object]) -> int:
        """Run a job in a process and return its exit code.

        A signal ends it; `keep` then starts nothing.
        """
        codes: list[int] = []
        self._children = [child := _Child(0, lambda _ready: job())]
        self._start(child)
        while self._running():
            self._wait(self._stop_nothing)
            codes += [code for _, code in self._reap()]
        return EXIT_OK if self._stopped_at else codes[0]

    def keep(
        self,
        jobs: Sequence[Callable[[NotifyReady], object]],
        on_stop: Callable[[], None],
        on_end: Callable[[int], None],
    ) -> int:
        """Keep a process for each job running until a signal; return the exit code.

        A process that ends after it was ready is restarted; one that ends before stops all.
        `on_stop` is called before the processes are sent SIGTERM, `on_end` with the number of a
        process that has ended.
        """
        code = EXIT_OK
        self._children = [_Child(*each) for each in enumerate(jobs)]
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
        """Wait for the end of a child, a due restart, a signal, or the end of the grace period."""
        now = time.monotonic()
        if self._stopped_at:
            until: float | None = self._stopped_at + self._grace_seconds
        else:
            until = min((each.start_at for each in self._children if not each.pid), default=None)
        if until is None:
            signum: int | None = signal.sigwait(self._signals)
        else:
            found = signal.sigtimedwait(self._signals, max(0.05, until - now))
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
        elif now - self._stopped_at > DUPLICATE_SIGNAL_SECONDS:
            self._kill()

    def _kill(self) -> None:
        for child in self._running():
            # Its own group, if it already called setsid: no other group has this id.
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
        child.ready, ready_pipe = os.pipe()
        os.set_blocking(child.ready, False)
        sys.stdout.flush()
        sys.stderr.flush()
        child.pid = os.fork()
        if not child.pid:
            self._run_child(child.job, ready_pipe)
        os.close(ready_pipe)

    def _run_child(self, job: Callable[[NotifyReady], object], ready_pipe: int) -> NoReturn:
        """Run the child: leave the caller's group, unblock signals, then run the job."""

        def ready() -> None:
            os.write(ready_pipe, b".")

        code = EXIT_FAILED
        try:
            os.setsid()
            die_with_parent(parent=self._parent)
            restore_defaults()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
            job(ready)
            code = EXIT_OK
        except BaseException as error:  # noqa: BLE001  a child must not return to the parent's code
            with suppress(BaseException):
                code = self._report_error(error)
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
