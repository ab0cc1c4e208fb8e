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
from typing import NoReturn, Self

from infra.observability import logs
from infra.observability.events import Event
from infra.process.child import Child, Job, NotifyReady
from infra.process.signals import restore_defaults, stop_signals
from infra.process.system import die_with_parent

# A wrapping program may forward a signal that its process group also received.
DUPLICATE_SIGNAL_SECONDS = 0.5
POLL_SECONDS = 0.05
EXIT_OK, EXIT_FAILED = 0, 1
# To the parent: replace the processes one by one. Its processes keep it blocked, so that a signal
# to the whole group ends none of them.
REPLACE = signal.SIGUSR2
# To a process: its successor is ready.
LEAVE = signal.SIGUSR1

log = logs.get_logger(__name__)

# Reports an error that ended a process, and returns the exit code.
ReportError = Callable[[BaseException], int]


class Prefork:
    """Forked processes; all have ended at the end of the `with` block."""

    def __init__(self, report_error: ReportError, grace_seconds: float) -> None:
        self._report_error = report_error
        self._grace_seconds = grace_seconds
        self._parent = os.getpid()
        self._stopping = stop_signals()
        self._signals = self._stopping | {signal.SIGCHLD, REPLACE}
        self._children: list[Child] = []
        self._spare_place = 0
        self._replacing: Iterator[bool] | None = None
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
        self._children = [child := Child(0, lambda _place, _ready: job())]
        child.start(self._run_child)
        while self._running():
            self._wait(self._stop_nothing)
            codes += [code for _, code in self._reap()]
        return EXIT_OK if self._stopped_at else codes[0]

    def keep(
        self,
        jobs: Sequence[Job],
        on_stop: Callable[[], None],
        on_end: Callable[[int], None],
        replaceable: int = 0,
    ) -> int:
        """Keep a process for each job running until a signal; return the exit code.

        A process that ends after it was ready is restarted; one that ends before stops all.
        `on_stop` is called before the processes are sent SIGTERM, `on_end` with the place of a
        process that has ended. REPLACE replaces the processes of the first `replaceable` jobs.
        There is a place more than jobs.
        """
        code = EXIT_OK
        self._children = [
            Child(place, job, is_replaceable=place < replaceable) for place, job in enumerate(jobs)
        ]
        self._spare_place, self._replacing = len(jobs), None
        while self._running() or not self._stopped_at:
            if not self._stopped_at:
                self._start_due()
            self._wait(on_stop)
            for child, ended in self._reap():
                on_end(child.place)
                if self._stopped_at or not child.is_kept:
                    continue
                if not child.has_been_ready:
                    code = ended if ended > 0 else EXIT_FAILED
                    self._stop(on_stop)
                    continue
                child.start_at = time.monotonic() + child.delay
                again = {"exit_code": ended, "again_in_seconds": child.delay}
                log.warning(Event.PROCESS_ENDED, number=child.place, **again)
        return code

    @staticmethod
    def _stop_nothing() -> None:
        pass

    def _start_due(self) -> None:
        """Start the processes that are due, and take the next step of a replacement."""
        for child in self._children:
            if child.is_kept and not child.pid and time.monotonic() >= child.start_at:
                child.start(self._run_child)
        if self._replacing and not next(self._replacing, False):
            self._replacing = None

    def _replace_all(self) -> Iterator[bool]:
        """Replace the processes one by one; yield True while waiting.

        A successor is ready before its predecessor is told to leave. One that does not become
        ready ends the replacement, and its predecessor stays.
        """
        for old in [child for child in self._children if child.is_replaceable]:
            new = Child(self._spare_place, old.job, is_replaceable=True, is_kept=False)
            self._children.append(new)
            new.start(self._run_child)
            while new.pid and not new.check_ready():
                yield True
            if not new.pid:
                self._children.remove(new)
                log.error(Event.REPLACEMENT_FAILED, number=old.place)
                return
            self._spare_place = old.place
            new.is_kept, old.is_kept = True, False
            old.leave_by = time.monotonic() + self._grace_seconds
            if old.pid:
                os.kill(old.pid, LEAVE)
            while old.pid:
                if time.monotonic() > old.leave_by:
                    log.warning(Event.PROCESSES_KILLED, after_seconds=self._grace_seconds)
                    old.kill()
                yield True
            self._children.remove(old)
        log.info(Event.PROCESSES_REPLACED)

    def _wait(self, on_stop: Callable[[], None]) -> None:
        """Wait for the end of a child, a due restart, a signal, or the end of the grace period."""
        now = time.monotonic()
        if self._stopped_at:
            until: float | None = self._stopped_at + self._grace_seconds
        elif self._replacing:
            until = now
        else:
            until = min((each.start_at for each in self._children if not each.pid), default=None)
        if until is None:
            signum: int | None = signal.sigwait(self._signals)
        else:
            found = signal.sigtimedwait(self._signals, max(POLL_SECONDS, until - now))
            signum = found and found.si_signo
        if signum in self._stopping:
            self._stop(on_stop)
        elif signum == REPLACE:
            self._replacing = self._replacing or self._replace_all()
        elif self._stopped_at and time.monotonic() > self._stopped_at + self._grace_seconds:
            log.warning(Event.PROCESSES_KILLED, after_seconds=self._grace_seconds)
            self._kill()

    def _stop(self, on_stop: Callable[[], None]) -> None:
        now = time.monotonic()
        if not self._stopped_at:
            self._stopped_at = now
            on_stop()
            for child in self._running():
                # A second signal would end at once one that leaves.
                if child.leave_by is None:
                    os.kill(child.pid, signal.SIGTERM)
        elif now - self._stopped_at > DUPLICATE_SIGNAL_SECONDS:
            self._kill()

    def _kill(self) -> None:
        for child in self._running():
            child.kill()

    def _running(self) -> list[Child]:
        return [child for child in self._children if child.pid]

    def _reap(self) -> Iterator[tuple[Child, int]]:
        for child in self._running():
            code = child.reap()
            if code is not None:
                yield child, code

    def _run_child(self, job: Job, place: int, ready: NotifyReady) -> NoReturn:
        """Run the child: leave the caller's group, unblock signals, then run the job."""
        code = EXIT_FAILED
        try:
            os.setsid()
            die_with_parent(parent=self._parent)
            restore_defaults()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals - {REPLACE})
            job(place, ready)
            code = EXIT_OK
        except BaseException as error:  # noqa: BLE001  a child must not return to the parent's code
            with suppress(BaseException):
                code = self._report_error(error)
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                logs.drain()
            os._exit(code)
