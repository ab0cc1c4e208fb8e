"""Brokers that tests start, stop and freeze; and a worker of the service on any of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher, Process, ProcessSpec
from deploy.embedded.process_supervisor import tail
from deploy.embedded.valkey import Broker as Valkey
from infra.queue.liveness import is_relay_alive
from tests.factories import WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

ENROLL = Path(sys.executable).with_name("enroll")
# Debian's program of that name on PATH drops root; this one keeps the caller's user.
RABBITMQ = "/usr/lib/rabbitmq/bin"


class Broker(Protocol):
    """A server that keeps its address when restarted."""

    url: str

    async def part(self) -> ProcessSpec:
        """Return the process's specification."""


class Redis:
    """The embedded Valkey."""

    def __init__(self, launcher: Launcher) -> None:
        self._valkey = Valkey(launcher.data_dir)
        self.url = self._valkey.environment["BROKER_URL"]

    async def part(self) -> ProcessSpec:
        return await self._valkey.prepare()


class RabbitMQ:
    """Debian's RabbitMQ, with folders, ports and a name of its own."""

    @staticmethod
    def program() -> str | None:
        """Return the path of the server's program, if there is one."""
        return shutil.which("rabbitmq-server", path=f"{RABBITMQ}:{os.environ['PATH']}")

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        take = launcher.data_dir.ports.assign
        self._port, self._nodes, self._names = take("amqp"), take("nodes"), take("names")
        self._name_server: Process | None = None
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"

    async def part(self) -> ProcessSpec:
        base = self._launcher.data_dir.root / "rabbitmq"
        base.mkdir(exist_ok=True)
        (base / "plugins").write_text("[].\n", encoding="utf-8")
        (base / "rabbitmq.conf").touch()
        environment = {
            "HOME": str(base),
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_BASE": str(base),
            "RABBITMQ_MNESIA_BASE": str(base / "mnesia"),
            "RABBITMQ_LOG_BASE": str(base / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(base / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(base / "plugins"),
            "RABBITMQ_NODENAME": f"test{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._nodes),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none"
            ),
            # Exec replaces the start script, so that signals reach the server and not a shell.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        if self._name_server is None:
            # Without this RabbitMQ starts a daemon that would outlive the test.
            command = (shutil.which("epmd") or "epmd", "-port", str(self._names))
            part = ProcessSpec("epmd", command, environment=environment)
            self._name_server = await self._launcher.start(part)
            await asyncio.wait_for(probe.wait_until(lambda: _answers(self._names)), WAIT_SECONDS)
        return ProcessSpec(
            "rabbitmq",
            (self.program() or "",),
            lambda: _answers(self._port, b"AMQP\x00\x00\x09\x01"),
            environment,
            grace_seconds=20,
        )


class Running:
    """A running broker."""

    def __init__(self, broker: Broker, launcher: Launcher) -> None:
        self.broker = broker
        self.url = broker.url
        self._launcher = launcher

    async def start(self) -> None:
        """Start it; return when it responds."""
        part = await self.broker.part()
        self._process = await self._launcher.start(part)
        await _until_ready(part, self._launcher)

    async def stop(self) -> None:
        """Stop it as its operator would."""
        await self._process.stop()

    def freeze(self) -> None:
        """Freeze the process: it neither responds nor closes."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the process."""
        self._process.signal(signal.SIGCONT)


@asynccontextmanager
async def running(kind: type[Redis | RabbitMQ], folder: Path) -> AsyncIterator[Running]:
    """Run a broker for the length of the block."""
    async with Launcher(DataDir(folder)) as launcher:
        broker = Running(kind(launcher), launcher)
        await broker.start()
        yield broker


@asynccontextmanager
async def worker(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Path]:
    """Run `enroll worker` on the open database's tasks; yield its log when it is ready."""
    async with Launcher(DataDir(folder)) as launcher:
        own = {"DATA_DIR": str(folder / "data"), "CACHE_URL": "memory://"} | dict(environment)
        part = ProcessSpec("worker", (str(ENROLL), "worker"), is_relay_alive, own, folder)
        process = await launcher.start(part)
        await _until_ready(part, launcher)
        yield launcher.data_dir.log("worker")
        await process.stop()


async def _until_ready(part: ProcessSpec, launcher: Launcher) -> None:
    try:
        await asyncio.wait_for(probe.wait_until(part.is_ready), WAIT_SECONDS)
    except TimeoutError:
        raise AssertionError(f"{part.name}:\n{tail(launcher.data_dir.log(part.name))}") from None


async def _answers(port: int, greeting: bytes = b"") -> bool:
    """Return whether a server listens and responds to the greeting."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(greeting)
            answer = await reader.read(1) if greeting else b"none asked for"
            writer.close()
    except OSError:
        return False
    return bool(answer)
