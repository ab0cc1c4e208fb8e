"""One process over the whole service: starts it in order, keeps it up, stops it in reverse."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from deploy.embedded.binaries import Binaries
from deploy.embedded.console import StatusConsole
from deploy.embedded.data_dir import DataDir
from deploy.embedded.disk import Disk
from deploy.embedded.errors import EmbeddedError, StartError
from deploy.embedded.plan import Addresses, Plan
from deploy.embedded.process import Launcher, ProcessSpec
from deploy.embedded.process_supervisor import ProcessSupervisor, how_it_ended, tail
from deploy.embedded.servers import Servers, wanted_servers
from infra.process import signals
from infra.settings import Settings
from infra.storage import MEDIA_PATH

EXIT_STOPPED, EXIT_FAILED, EXIT_KILLED = 0, 1, 130
TRIM_SECONDS = 60.0
SAME_CTRL_C_SECONDS = 0.5  # a program that wraps this one may pass on what it also got
FLOWER_USER = "operator"


class Supervisor:
    """The service of one data folder, whose lock the caller holds."""

    def __init__(self, settings: Settings, plan: Plan, home: DataDir) -> None:
        self._settings = settings
        self._plan = plan
        self._home = home
        self._show = StatusConsole()
        self._launcher = Launcher(home)
        self._disk = Disk(home, self._show.line)
        self._keepers: list[ProcessSupervisor] = []
        wanted, say = wanted_servers(settings), self._show.line
        self._servers = Servers(
            self._launcher,
            wanted,
            region=settings.aws_region,
            binaries=Binaries.of(settings),
            say=say,
        )
        self._environment = {
            **self._servers.environment,
            "PORT": str(settings.port),
            "FLOWER_PORT": str(settings.flower_port),
            "DATA_DIR": str(home.root),
        }
        if settings.flower_basic_auth is None:
            # Flower can stop workers, and any local user or page reaches its port.
            password = home.secrets["flower_password"]
            self._environment["FLOWER_BASIC_AUTH"] = f"{FLOWER_USER}:{password}"
        if "STORAGE_URL" in self._environment and settings.storage_public_url is None:
            # The bucket can't say `nosniff`.
            self._environment["STORAGE_PUBLIC_URL"] = f"{Addresses.of(settings).api}{MEDIA_PATH}"

    async def run(self) -> int:
        """Run until a signal or a failed start; return the exit code."""
        async with self._launcher:
            try:
                return await self._run()
            finally:
                self._home.withdraw()

    async def _run(self) -> int:
        life = asyncio.create_task(self._live())
        ending = asyncio.create_task(self._end_after(life))

        loop = asyncio.get_running_loop()
        stopped_at = 0.0

        def stop() -> None:
            nonlocal stopped_at
            if not stopped_at:
                stopped_at = loop.time()
                self._show.line("stopping; once more kills at once")
                life.cancel()
            elif loop.time() - stopped_at > SAME_CTRL_C_SECONDS:
                ending.cancel()

        for signum in signals.stopping():
            loop.add_signal_handler(signum, stop)
        try:
            return await ending
        except asyncio.CancelledError:
            self._show.line("killed")
            return EXIT_KILLED

    async def _live(self) -> None:
        self._disk.reserve()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._disk.watch(self._servers.environment.get("DATABASE_URL")))
            tasks.create_task(self._serve())

    async def _serve(self) -> None:
        await self._bring_up()
        self._home.publish(self._environment)
        self._show.table(self._settings, self._servers.environment, self._home)
        for part in self._plan.after:
            code = await self._launcher.run(part, self._environment)
            outcome = "done" if code == 0 else how_it_ended(code)
            self._show.line(f"{part.name}: {outcome}; its log: {self._home.log(part.name)}")
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            with suppress(OSError):  # on a full disk
                self._home.trim_logs()

    async def _bring_up(self) -> None:
        """Start all at the same time that doesn't need another one."""
        async with asyncio.TaskGroup() as starts:
            servers = {
                name: starts.create_task(self._servers.start(name)) for name in self._servers.names
            }
            if "postgres" in servers:
                await servers.pop("postgres")
            for part in self._plan.before:
                await self._run_once(part)
            # The API takes uploads with the bucket still away: SeaweedFS can be slow to come.
            for name in servers.keys() & {"cache", "broker"}:
                await servers[name]
            for part in self._plan.services:
                starts.create_task(self._start(part))

    async def _run_once(self, part: ProcessSpec) -> None:
        code = await self._launcher.run(part, self._environment)
        if code != 0:
            log = self._home.log(part.name)
            raise StartError(f"{part.name} {how_it_ended(code)}; the end of {log}:\n{tail(log)}")
        self._show.line(f"{part.name}: done")

    async def _start(self, part: ProcessSpec) -> None:
        keeper = ProcessSupervisor(part, self._launcher, self._environment, self._show.line)
        self._keepers.append(keeper)
        await keeper.start()
        self._show.line(f"{part.name} is ready")

    async def _end_after(self, life: asyncio.Task[None]) -> int:
        """Wait for the end of life, then end the parts before the servers that they use."""
        (outcome,) = await asyncio.gather(life, return_exceptions=True)
        failures = set(_single(outcome)) if isinstance(outcome, Exception) else set()
        for failure in failures:
            self._show.line(str(failure) or repr(failure))
        self._home.withdraw()
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers))
        await self._servers.stop_all()
        self._show.line("stopped")
        for failure in failures:
            if not isinstance(failure, (EmbeddedError, OSError)):
                raise failure
        return EXIT_FAILED if failures else EXIT_STOPPED


def _single(error: Exception) -> Iterator[Exception]:
    """Take apart the group that a task group raises."""
    if isinstance(error, ExceptionGroup):
        for part in error.exceptions:
            yield from _single(part)
    else:
        yield error
