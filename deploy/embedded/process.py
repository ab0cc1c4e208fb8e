"""Processes of the supervisor: each has a process group and a log, and none outlives it."""

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
# Isolated and without site: starts fast, and independent of the environment.
PYTHON = (sys.executable, "-I", "-S")
# The id of the user and group "nobody".
UNPRIVILEGED_UID = 65534


async def always_ready() -> bool:
    """Return True: the process is ready once it is started."""
    return True


@dataclass(frozen=True)
class ProcessSpec:
    """How a program is started, checked for readiness, and stopped."""

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
    """A running program, the leader of its process group."""

    def __init__(
        self, spec: ProcessSpec, process: asyncio.subprocess.Process, launcher: "Launcher"
    ) -> None:
        self.spec = spec
        self.pid = process.pid
        self._process = process
        self._launcher = launcher

    async def wait(self) -> int:
        """Wait for its end, kill its group, and return its exit code (negative: a signal)."""
        code = await self._process.wait()
        self.signal(signal.SIGKILL)
        self._launcher.forget(self)
        return code

    async def stop(self) -> int:
        """Send the stop signal, and kill it after `grace_seconds`."""
        with suppress(ProcessLookupError):
            self._process.send_signal(self.spec.stop_signal)
        try:
            async with asyncio.timeout(self.spec.grace_seconds):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)


class Launcher:
    """Starts processes with their logs; none of them outlives the `async with` block."""

    def __init__(self, data_dir: DataDir) -> None:
        self.data_dir = data_dir
        self.is_closing = False
        self._running: dict[int, Process] = {}
        self._reaper: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the reaper, for the case that this process is killed."""
        self._reaper = await asyncio.create_subprocess_exec(
            *(*PYTHON, str(REAPER)), stdin=PIPE, stdout=DEVNULL, start_new_session=True
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill the processes that still run."""
        self.is_closing = True
        for process in list(self._running.values()):
            process.signal(signal.SIGKILL)
            await process.wait()
        if self._reaper and self._reaper.stdin:
            self._reaper.stdin.close()
            await self._reaper.wait()

    async def start(
        self, spec: ProcessSpec, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process; `environment`, then the spec's own, extend the supervisor's."""
        user = str(UNPRIVILEGED_UID) if spec.unprivileged and os.geteuid() == 0 else "-"
        arguments = (str(os.getpid()), str(int(spec.death_signal)), user)
        with self.data_dir.log(spec.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(*PYTHON, str(CHILD), *arguments, *spec.command),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                cwd=spec.folder,
                env={**os.environ, **(environment or {}), **spec.environment},
                # Only the supervisor receives a Ctrl-C; it stops the processes in order.
                start_new_session=True,
            )
        running = Process(spec, process, self)
        self._running[running.pid] = running
        self._notify_reaper(f"+{running.pid}\n")
        return running

    async def run(self, spec: ProcessSpec, environment: Mapping[str, str] | None = None) -> int:
        """Run a process to its end and return its exit code."""
        process = await self.start(spec, environment)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await process.stop()
            raise

    def forget(self, process: Process) -> None:
        """Drop a process that ended, since the kernel may reuse its pid."""
        if self._running.pop(process.pid, None):
            self._notify_reaper(f"-{process.pid}\n")

    def _notify_reaper(self, line: str) -> None:
        if self._reaper and self._reaper.stdin:
            self._reaper.stdin.write(line.encode())
