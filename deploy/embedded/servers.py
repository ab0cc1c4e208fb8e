"""The servers that the settings name no URL for: started together, stopped together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from deploy.embedded import lock
from deploy.embedded.binaries import WHEELS, Binaries
from deploy.embedded.data_dir import DataDir
from deploy.embedded.postgres import Postgres
from deploy.embedded.process import Launcher, ProcessSpec
from deploy.embedded.process_supervisor import ProcessSupervisor
from deploy.embedded.seaweed import SeaweedFS
from deploy.embedded.valkey import Broker, Cache
from infra.settings import Settings

NAMES = (Postgres.name, Cache.name, Broker.name, SeaweedFS.name)
DEFAULT_REGION = str(Settings.model_fields["aws_region"].default)


class Server(Protocol):
    """A server that needs no administrator."""

    @property
    def name(self) -> str:
        """The name of its log, and in `only`."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""

    async def prepare(self) -> ProcessSpec:
        """Make its data folder and configuration, and return how it is run."""


def wanted_servers(settings: Settings) -> set[str]:
    """Return the names of the servers that the settings name no URL for."""
    kinds = (Postgres, Cache, Broker, SeaweedFS)
    return {kind.name for kind in kinds if kind.is_wanted(settings)}


class Servers:
    """Chosen servers of one data folder."""

    def __init__(  # noqa: PLR0913  # all but the first two are options
        self,
        launcher: Launcher,
        only: Collection[str] = NAMES,
        *,
        region: str = DEFAULT_REGION,
        fsync: bool = True,
        binaries: Binaries = WHEELS,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        home = launcher.home
        makers: dict[str, Callable[[], Server]] = {
            Postgres.name: lambda: Postgres(
                home, launcher, fsync=fsync, chosen=binaries.postgres, say=say
            ),
            Cache.name: lambda: Cache(home, binaries),
            Broker.name: lambda: Broker(home, binaries),
            SeaweedFS.name: lambda: SeaweedFS(home, region, binaries),
        }
        self._launcher = launcher
        self._say = say
        self._servers = {name: makers[name]() for name in NAMES if name in only}
        self._keepers: dict[str, ProcessSupervisor] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the chosen ones."""
        return tuple(self._servers)

    @property
    def environment(self) -> dict[str, str]:
        """What clients of all of them need."""
        pairs = (server.environment for server in self._servers.values())
        return {key: value for environment in pairs for key, value in environment.items()}

    async def start(self, name: str) -> None:
        """Start one and return when it answers."""
        server = self._servers[name]
        keeper = ProcessSupervisor(await server.prepare(), self._launcher, {}, self._say)
        self._keepers[name] = keeper
        await keeper.start()
        self._say(f"{server.title} answers on port {server.port}")

    async def start_all(self) -> None:
        """Start all at the same time and return when all answer."""
        async with asyncio.TaskGroup() as starts:
            for name in self._servers:
                starts.create_task(self.start(name))

    async def is_ready(self, name: str) -> bool:
        """Tell whether one answers now."""
        return name in self._keepers and await self._keepers[name].part.is_ready()

    async def stop(self, name: str) -> None:
        """Stop one, if it runs; it stays stopped until `start`."""
        if keeper := self._keepers.pop(name, None):
            await keeper.stop()

    async def stop_all(self) -> None:
        """Stop all at the same time."""
        await asyncio.gather(*(self.stop(name) for name in list(self._keepers)))


@asynccontextmanager
async def running(
    data_dir: Path,
    only: Collection[str] = NAMES,
    *,
    fsync: bool = True,
    binaries: Binaries = WHEELS,
) -> AsyncIterator[Servers]:
    """Run chosen servers for the length of the block, with a handle on each."""
    with lock.hold(data_dir):
        async with Launcher(DataDir(data_dir)) as launcher:
            chosen = Servers(launcher, only, fsync=fsync, binaries=binaries)
            try:
                await chosen.start_all()
                yield chosen
            finally:
                await chosen.stop_all()


@asynccontextmanager
async def servers(
    data_dir: Path, only: Collection[str] = NAMES, *, fsync: bool = True
) -> AsyncIterator[dict[str, str]]:
    """Run chosen servers for the length of the block; yield what their clients need."""
    async with running(data_dir, only, fsync=fsync) as chosen:
        yield chosen.environment
