"""Keeps one part running: starts it again when it dies, ever more slowly, and says so."""

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
# A part that dies again at once was not back.
BACK_AFTER_SECONDS = 1.0
DEATHS_AT_START = 3
LOG_TAIL_LINES = 15

Say = Callable[[str], None]


class ProcessSupervisor:
    """A part that runs until it is told to stop."""

    def __init__(
        self, part: ProcessSpec, launcher: Launcher, environment: Mapping[str, str], say: Say
    ) -> None:
        self.part = part
        self._launcher = launcher
        self._environment = environment
        self._say = say
        self._log = launcher.home.log(part.name)
        self._process: Process | None = None
        self._deaths = 0
        self._loop: asyncio.Task[None] | None = None
        self._has_been_ready = False
        self._return: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the part and return when it is ready.

        Raises:
            StartError: it is not in time, or died again and again.

        """
        self._process = await self._launcher.start(self.part, self._environment)
        self._loop = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(READY_SECONDS):
                await probe.until(self._is_ready)
        except TimeoutError:
            raise StartError(self._failure(f"is not ready after {READY_SECONDS:g} s")) from None
        self._has_been_ready = True

    async def _is_ready(self) -> bool:
        if self._deaths >= DEATHS_AT_START:
            raise StartError(self._failure(f"ended {self._deaths} times while starting"))
        return self._process is not None and await self.part.is_ready()

    def _failure(self, what: str) -> str:
        return f"{self.part.name} {what}; the end of {self._log}:\n{tail(self._log)}"

    async def _keep(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            started = time.monotonic()
            if self._process:
                code = await self._process.wait()
                self._process = None
                self._cancel_return()
                if self._launcher.is_closing:
                    return
                self._deaths += 1
                if time.monotonic() - started > HEALTHY_AFTER_SECONDS:
                    delay = FIRST_DELAY_SECONDS
                self._say(
                    f"{self.part.name} {how_it_ended(code)}, starts again in {delay:g} s; "
                    f"its log: {self._log}"
                )
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            try:
                self._process = await self._launcher.start(self.part, self._environment)
            except OSError as error:  # no room for its log, no process to be had
                self._say(f"{self.part.name} can't be started, is tried again: {error}")
            else:
                if self._has_been_ready:
                    self._return = asyncio.create_task(self._say_when_back())

    async def _say_when_back(self) -> None:
        await probe.until(self.part.is_ready)
        await asyncio.sleep(BACK_AFTER_SECONDS)
        self._say(f"{self.part.name} is back")

    def _cancel_return(self) -> None:
        if self._return:
            self._return.cancel()

    async def stop(self) -> None:
        """End the part, and don't start it again."""
        self._cancel_return()
        if self._loop:
            self._loop.cancel()
            # To await it and suppress its CancelledError would suppress one that is the caller's.
            await asyncio.wait({self._loop})
        if self._process:
            await self._process.stop()


def how_it_ended(code: int) -> str:
    """Say an exit code, or the signal of a negative one, in words."""
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
