"""Keeps one process running: restarts it with exponential back-off, and prints that."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import Signals

from deploy.embedded import probe
from deploy.embedded.errors import StartError
from deploy.embedded.process import Launcher, Process, ProcessSpec

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
HEALTHY_AFTER_SECONDS = 60.0
READY_SECONDS = 60.0
# A process that dies sooner after its restart has not recovered.
RECOVERED_AFTER_SECONDS = 1.0
DEATHS_AT_START = 3
LOG_TAIL_LINES = 15

PrintLine = Callable[[str], None]


class ProcessSupervisor:
    """Keeps a process running until `stop`."""

    def __init__(
        self,
        spec: ProcessSpec,
        launcher: Launcher,
        environment: Mapping[str, str],
        print_line: PrintLine,
    ) -> None:
        self.spec = spec
        self._launcher = launcher
        self._environment = environment
        self._print_line = print_line
        self._log = launcher.data_dir.log(spec.name)
        self._process: Process | None = None
        self._deaths = 0
        self._loop: asyncio.Task[None] | None = None
        self._has_been_ready = False
        self._recovery_report: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and return when it is ready.

        Raises:
            StartError: it is not ready in time, or ended `DEATHS_AT_START` times.

        """
        self._process = await self._launcher.start(self.spec, self._environment)
        self._loop = asyncio.create_task(self._restart_loop())
        try:
            async with asyncio.timeout(READY_SECONDS):
                await probe.wait_until(self._is_ready)
        except TimeoutError:
            raise StartError(self._failure(f"is not ready after {READY_SECONDS:g} s")) from None
        self._has_been_ready = True

    async def _is_ready(self) -> bool:
        if self._deaths >= DEATHS_AT_START:
            raise StartError(self._failure(f"ended {self._deaths} times while starting"))
        return self._process is not None and await self.spec.is_ready()

    def _failure(self, what: str) -> str:
        return f"{self.spec.name} {what}; the end of {self._log}:\n{tail(self._log)}"

    async def _restart_loop(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            started = time.monotonic()
            if self._process:
                code = await self._process.wait()
                self._process = None
                self._cancel_recovery_report()
                if self._launcher.is_closing:
                    return
                self._deaths += 1
                if time.monotonic() - started > HEALTHY_AFTER_SECONDS:
                    delay = FIRST_DELAY_SECONDS
                self._print_line(
                    f"{self.spec.name} {describe_exit(code)}, restarting in {delay:g} s; "
                    f"log: {self._log}"
                )
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            try:
                self._process = await self._launcher.start(self.spec, self._environment)
            except OSError as error:  # the disk is full, or no process can be created
                self._print_line(f"{self.spec.name} can't be started, retrying: {error}")
            else:
                if self._has_been_ready:
                    self._recovery_report = asyncio.create_task(self._report_recovery())

    async def _report_recovery(self) -> None:
        await probe.wait_until(self.spec.is_ready)
        await asyncio.sleep(RECOVERED_AFTER_SECONDS)
        self._print_line(f"{self.spec.name} is ready again")

    def _cancel_recovery_report(self) -> None:
        if self._recovery_report:
            self._recovery_report.cancel()

    async def stop(self) -> None:
        """Stop the process for good."""
        self._cancel_recovery_report()
        if self._loop:
            self._loop.cancel()
            # Awaiting it and suppressing CancelledError would also suppress the caller's own.
            await asyncio.wait({self._loop})
        if self._process:
            await self._process.stop()


def describe_exit(code: int) -> str:
    """Describe an exit code, or the signal of a negative one."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])
