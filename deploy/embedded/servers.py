"""The embedded servers: those that the settings name no URL for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.embedded import lock
from deploy.embedded.binaries import WHEELS, Binaries
from deploy.embedded.data_dir import DataDir
from deploy.embedded.postgres import Postgres
from deploy.embedded.process import Launcher
from deploy.embedded.process_supervisor import ProcessSupervisor
from deploy.embedded.seaweed import SeaweedFS
from deploy.embedded.valkey import Broker, Cache, Valkey
from infra.settings import Settings

NAMES = (Postgres.name, Cache.name, Broker.name, SeaweedFS.name)
DEFAULT_REGION = str(Settings.model_fields["aws_region"].default)


# A server that needs no administrator: its name, title, port, clients' environment, and process.
Server = Postgres | Valkey | SeaweedFS


def embedded_servers(settings: Settings) -> set[str]:
    """Return the names of the servers that the settings name no URL for."""
    addresses = {
        Postgres.name: settings.database,
        Cache.name: settings.cache,
        Broker.name: settings.broker,
        SeaweedFS.name: settings.storage,
    }
    return {name for name, address in addresses.items() if address is None}


class Servers:
    """The chosen servers of one data folder."""

    def __init__(  # noqa: PLR0913  # all but the first two are options
        self,
        launcher: Launcher,
        only: Collection[str] = NAMES,
        *,
        region: str = DEFAULT_REGION,
        fsync: bool = True,
        binaries: Binaries = WHEELS,
        observed: bool = False,
        print_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        data_dir = launcher.data_dir
        self.storage_metrics_port = (
            data_dir.ports.assign("weed_metrics") if observed and SeaweedFS.name in only else None
        )
        makers: dict[str, Callable[[], Server]] = {
            Postgres.name: lambda: Postgres(
                data_dir, launcher, fsync=fsync, chosen=binaries.postgres, print_line=print_line
            ),
            Cache.name: lambda: Cache(data_dir, binaries),
            Broker.name: lambda: Broker(data_dir, binaries),
            SeaweedFS.name: lambda: SeaweedFS(
                data_dir, region, binaries, self.storage_metrics_port
            ),
        }
        self._launcher = launcher
        self._print_line = print_line
        self._servers = {name: makers[name]() for name in NAMES if name in only}
        self._supervisors: dict[str, ProcessSupervisor] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the chosen servers."""
        return tuple(self._servers)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of clients of all the servers."""
        pairs = (server.environment for server in self._servers.values())
        return {key: value for environment in pairs for key, value in environment.items()}

    async def start(self, name: str) -> None:
        """Start one and return when it is ready."""
        server = self._servers[name]
        supervisor = ProcessSupervisor(await server.prepare(), self._launcher, {}, self._print_line)
        self._supervisors[name] = supervisor
        await supervisor.start()
        self._print_line(f"{server.title} is ready on port {server.port}")

    async def start_all(self) -> None:
        """Start all at the same time and return when all are ready."""
        async with asyncio.TaskGroup() as starts:
            for name in self._servers:
                starts.create_task(self.start(name))

    async def is_ready(self, name: str) -> bool:
        """Return whether one is ready now."""
        return name in self._supervisors and await self._supervisors[name].spec.is_ready()

    async def stop(self, name: str) -> None:
        """Stop one if it runs; it stays stopped until `start`."""
        if supervisor := self._supervisors.pop(name, None):
            await supervisor.stop()

    async def stop_all(self) -> None:
        """Stop all at the same time."""
        await asyncio.gather(*(self.stop(name) for name in list(self._supervisors)))


@asynccontextmanager
async def running(
    data_dir: Path,
    only: Collection[str] = NAMES,
    *,
    fsync: bool = True,
    binaries: Binaries = WHEELS,
) -> AsyncIterator[Servers]:
    """Run chosen servers during the block; yield the handle to start and stop them."""
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
    """Run chosen servers during the block; yield the environment of their clients."""
    async with running(data_dir, only, fsync=fsync) as chosen:
        yield chosen.environment
