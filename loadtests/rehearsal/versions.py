"""Runs versions of the service: in containers of its image, or as processes of this checkout."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from deploy.embedded.process import Launcher, Process, ProcessSpec
from deploy.embedded.process_supervisor import tail

ROOT = Path(__file__).parents[2]
LAUNCHER = Path(__file__).with_name("launcher.py")
IN_CONTAINER = "/rehearsal"
HARDENED = (
    *("--security-opt=no-new-privileges", "--cap-drop=all", "--read-only"),
    *("--memory=512m", "--pids-limit=200", "--network=host"),
)
STOP_SECONDS = 30
LOG_LINES = 20
Environment = Mapping[str, str]


class RehearsalError(Exception):
    """The rehearsal can't go on; the message says why."""


class Versions(Protocol):
    """What starts a version; a command is one of `enroll`."""

    async def run(self, command: tuple[str, ...], environment: Environment) -> None:
        """Run a command to its end."""

    async def start(self, name: str, command: tuple[str, ...], environment: Environment) -> None:
        """Start a command under a name."""

    async def stop(self, name: str) -> None:
        """End it as a host does that is shut down."""

    async def log(self, name: str) -> str:
        """Return the end of what it has written."""


async def run_program(*command: object, environment: Environment | None = None) -> str:
    """Run a program to its end and return its output.

    Raises:
        RehearsalError: it failed; with its output.

    """
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env=environment,
    )
    output = (await process.communicate())[0].decode(errors="replace")
    if process.returncode:
        shown = " ".join(map(str, command[:4]))
        raise RehearsalError(f"{shown} … failed with {process.returncode}:\n{output[-3000:]}")
    return output


class Containers:
    """Containers without any privilege, on this host's network; `readable` is mounted."""

    def __init__(self, engine: str, image: str, readable: Path) -> None:
        self._engine = engine
        self._image = image
        self._mounts = (
            f"{readable}:{readable}:ro",
            f"{LAUNCHER}:{IN_CONTAINER}/{LAUNCHER.name}:ro",
        )
        self._mark = uuid4().hex[:8]
        self._running: set[str] = set()

    async def run(self, command: tuple[str, ...], environment: Environment) -> None:
        """Run a command to its end."""
        await self._run(("--rm",), command, environment)

    async def start(self, name: str, command: tuple[str, ...], environment: Environment) -> None:
        """Start a command under a name."""
        self._running.add(self._name(name))
        await self._run(("--detach", "--name", self._name(name)), command, environment)

    async def stop(self, name: str) -> None:
        """End it as a host does that is shut down."""
        await run_program(self._engine, "stop", "--time", STOP_SECONDS, self._name(name))

    async def log(self, name: str) -> str:
        """Return the end of what it has written."""
        return await run_program(self._engine, "logs", "--tail", LOG_LINES, self._name(name))

    async def remove(self) -> None:
        """Remove all, also those that run."""
        for name in self._running:
            await run_program(self._engine, "rm", "--force", "--volumes", name)

    def _name(self, name: str) -> str:
        return f"rehearsal-{self._mark}-{name}"

    async def _run(
        self, options: tuple[str, ...], command: tuple[str, ...], environment: Environment
    ) -> None:
        variables = [f"--env={key}={value}" for key, value in environment.items()]
        mounts = [f"--volume={each}" for each in self._mounts]
        await run_program(
            *(self._engine, "run", *options, *HARDENED, *mounts, *variables),
            *(f"--env=PYTHONPATH={IN_CONTAINER}", "--entrypoint=tini", self._image, "--"),
            *("python", "-m", LAUNCHER.stem, *command),
        )


@asynccontextmanager
async def containers(engine: str, image: str, readable: Path) -> AsyncIterator[Containers]:
    """Run containers during the block."""
    made = Containers(engine, image, readable)
    try:
        yield made
    finally:
        await made.remove()


class Processes:
    """Processes of this checkout, for a machine that runs no containers."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._running: dict[str, Process] = {}

    async def run(self, command: tuple[str, ...], environment: Environment) -> None:
        """Run a command to its end."""
        spec = self._spec("-".join(command), command, environment)
        if await self._launcher.run(spec):
            raise RehearsalError(f"enroll {' '.join(command)}:\n{await self.log(spec.name)}")

    async def start(self, name: str, command: tuple[str, ...], environment: Environment) -> None:
        """Start a command under a name."""
        self._running[name] = await self._launcher.start(self._spec(name, command, environment))

    async def stop(self, name: str) -> None:
        """End it as a host does that is shut down."""
        await self._running.pop(name).stop()

    async def log(self, name: str) -> str:
        """Return the end of what it has written."""
        return tail(self._launcher.data_dir.log(name))

    def _spec(self, name: str, command: tuple[str, ...], environment: Environment) -> ProcessSpec:
        own = {"DATA_DIR": str(self._launcher.data_dir.root / f"of-{name}")}
        return ProcessSpec(
            name,
            (sys.executable, "-m", "loadtests.rehearsal.launcher", *command),
            environment={**environment, **own},
            grace_seconds=STOP_SECONDS,
        )
