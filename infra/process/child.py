"""A forked process of a parent: its start, its readiness and its end."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 10.0

NotifyReady = Callable[[], None]
# The work of a process: it gets the process's place, and what to call when it is ready.
Job = Callable[[int, NotifyReady], object]


@dataclass(eq=False)
class Child:
    """A process, running or to be started; no other child of its parent has its place."""

    place: int
    job: Job
    is_replaceable: bool = False
    # False: its end is neither repaired nor a fault, as it has a predecessor or a successor.
    is_kept: bool = True
    pid: int = 0
    is_ready: bool = False
    has_been_ready: bool = False
    start_at: float = 0.0
    delay: float = FIRST_DELAY_SECONDS
    # When it is killed, if it was told to leave.
    leave_by: float | None = None
    _ready_pipe: int = -1

    def start(self, run: Callable[[Job, int, NotifyReady], object]) -> None:
        """Fork; `run` does the work in the new process, and does not return."""
        self._ready_pipe, writing = os.pipe()

        def ready() -> None:
            os.write(writing, b".")

        os.set_blocking(self._ready_pipe, False)
        self.is_ready = False
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            run(self.job, self.place, ready)
        os.close(writing)

    def check_ready(self) -> bool:
        """Return whether it has become ready since its start."""
        if not self.is_ready:
            with suppress(BlockingIOError):
                self.is_ready = os.read(self._ready_pipe, 1) != b""
            self.has_been_ready |= self.is_ready
        return self.is_ready

    def reap(self) -> int | None:
        """Return the exit code if it has ended, and note whether it had been ready."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.pid = 0
        self.delay = (
            FIRST_DELAY_SECONDS
            if self.check_ready()
            else min(2 * self.delay, LONGEST_DELAY_SECONDS)
        )
        os.close(self._ready_pipe)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """Kill it and its process group."""
        # Its own group, if it already called setsid: no other group has this id.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)
