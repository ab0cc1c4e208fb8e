"""Processes that the supervisor starts: in their own group, with a log, none left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Self

from deploy.embedded.data_dir import DataDir

CHILD = Path(__file__).with_name("child.py")
REAPER = Path(__file__).with_name("reaper.py")
# Isolated and without site: starts in 15 ms whatever the environment holds.
PYTHON = (sys.executable, "-I", "-S")
NOBODY = 65534


async def always_ready() -> bool:
    """Be ready as soon as started."""
    return True


@dataclass(frozen=True)
class ProcessSpec:
    """One program of the service: how it is run, known to be ready, and stopped."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], Awaitable[bool]] = always_ready
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    unprivileged: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace_seconds: float = 5.0


class Process:
    """A running part, the leader of its process group."""

    def __init__(
        self, part: ProcessSpec, process: asyncio.subprocess.Process, launcher: "Launcher"
    ) -> None:
        self.part = part
        self.pid = process.pid
        self._process = process
        self._launcher = launcher

    async def wait(self) -> int:
        """Return the exit code (negative: a signal) once it ended and its group is gone."""
        code = await self._process.wait()
        self.signal(signal.SIGKILL)
        self._launcher.forget(self)
        return code

    async def stop(self) -> int:
        """Ask it to end, and kill it when it has not in its time of grace."""
        with suppress(ProcessLookupError):
            self._process.send_signal(self.part.stop_signal)
        try:
            async with asyncio.timeout(self.part.grace_seconds):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)


class Launcher:
    """Starts parts with their logs; none of them outlives its `async with` block."""

    def __init__(self, home: DataDir) -> None:
        self.home = home
        self.is_closing = False
        self._running: dict[int, Process] = {}
        self._guard: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the guard, for the case that this process is killed."""
        self._guard = await asyncio.create_subprocess_exec(
            *(*PYTHON, str(REAPER)), stdin=PIPE, stdout=DEVNULL, start_new_session=True
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill what still runs."""
        self.is_closing = True
        for process in list(self._running.values()):
            process.signal(signal.SIGKILL)
            await process.wait()
        if self._guard and self._guard.stdin:
            self._guard.stdin.close()
            await self._guard.wait()

    async def start(
        self, part: ProcessSpec, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a part; `environment` and then the part's own add to the supervisor's."""
        user = str(NOBODY) if part.unprivileged and os.geteuid() == 0 else "-"
        arguments = (str(os.getpid()), str(int(part.death_signal)), user)
        with self.home.log(part.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(*PYTHON, str(CHILD), *arguments, *part.command),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                cwd=part.folder,
                env={**os.environ, **(environment or {}), **part.environment},
                # A Ctrl-C in the terminal is for the supervisor, which stops parts in order.
                start_new_session=True,
            )
        running = Process(part, process, self)
        self._running[running.pid] = running
        self._tell_guard(f"+{running.pid}\n")
        return running

    async def run(self, part: ProcessSpec, environment: Mapping[str, str] | None = None) -> int:
        """Run a part to its end and return its exit code."""
        process = await self.start(part, environment)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await process.stop()
            raise

    def forget(self, process: Process) -> None:
        """Drop a process that ended: its number may be another's soon."""
        if self._running.pop(process.pid, None):
            self._tell_guard(f"-{process.pid}\n")

    def _tell_guard(self, line: str) -> None:
        if self._guard and self._guard.stdin:
            self._guard.stdin.write(line.encode())
