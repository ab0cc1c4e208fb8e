"""Supervises the whole service: starts it in order, restarts processes, stops it in reverse."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from deploy.embedded.binaries import Binaries
from deploy.embedded.console import StatusConsole
from deploy.embedded.data_dir import DataDir
from deploy.embedded.disk import Disk
from deploy.embedded.errors import EmbeddedError, StartError
from deploy.embedded.observers import Observers
from deploy.embedded.plan import Addresses, Plan
from deploy.embedded.process import Launcher, ProcessSpec
from deploy.embedded.process_supervisor import ProcessSupervisor, describe_exit, tail
from deploy.embedded.servers import Servers, embedded_servers
from infra.process import signals
from infra.settings import Settings
from infra.storage import MEDIA_PATH

EXIT_STOPPED, EXIT_FAILED, EXIT_KILLED = 0, 1, 130
TRIM_SECONDS = 60.0
# A wrapping program may forward a Ctrl-C that the terminal also sends here.
DUPLICATE_SIGNAL_SECONDS = 0.5
FLOWER_USER = "operator"


class Supervisor:
    """The service of one data folder; the caller holds the folder's lock."""

    def __init__(self, settings: Settings, plan: Plan, data_dir: DataDir) -> None:
        self._settings = settings
        self._plan = plan
        self._data_dir = data_dir
        self._console = StatusConsole()
        self._launcher = Launcher(data_dir)
        self._disk = Disk(data_dir, self._console.line)
        self._supervisors: list[ProcessSupervisor] = []
        self._servers = Servers(
            self._launcher,
            embedded_servers(settings),
            region=settings.aws_region,
            binaries=Binaries.of(settings),
            observed=settings.observe,
            print_line=self._console.line,
        )
        self._observers = (
            Observers(settings, data_dir, self._servers, plan.worker_metrics)
            if settings.observe
            else None
        )
        self._environment = {
            **self._servers.environment,
            "PORT": str(settings.port),
            "FLOWER_PORT": str(settings.flower_port),
            "DATA_DIR": str(data_dir.root),
        }
        if self._observers:
            self._environment |= self._observers.service_environment
        if settings.flower_basic_auth is None:
            # Flower can stop workers, and all local users and browser pages reach its port.
            password = data_dir.secrets["flower_password"]
            self._environment["FLOWER_BASIC_AUTH"] = f"{FLOWER_USER}:{password}"
        if "STORAGE_URL" in self._environment and settings.storage_public_url is None:
            # The bucket can't send `nosniff`, so the API serves the images.
            self._environment["STORAGE_PUBLIC_URL"] = f"{Addresses.of(settings).api}{MEDIA_PATH}"

    async def run(self) -> int:
        """Run until a signal or a failed start; return the exit code."""
        async with self._launcher:
            try:
                return await self._run()
            finally:
                self._data_dir.remove_env_file()

    async def _run(self) -> int:
        running = asyncio.create_task(self._run_all())
        shutdown = asyncio.create_task(self._stop_after(running))
        loop = asyncio.get_running_loop()
        stopped_at = 0.0

        def stop() -> None:
            nonlocal stopped_at
            if not stopped_at:
                stopped_at = loop.time()
                self._console.line("stopping; a second signal kills at once")
                running.cancel()
            elif loop.time() - stopped_at > DUPLICATE_SIGNAL_SECONDS:
                shutdown.cancel()

        for signum in signals.stop_signals():
            signals.call_on_signal(signum, stop)
        try:
            return await shutdown
        except asyncio.CancelledError:
            self._console.line("killed")
            return EXIT_KILLED

    async def _run_all(self) -> None:
        self._disk.reserve()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._disk.watch(self._servers.environment.get("DATABASE_URL")))
            tasks.create_task(self._serve())

    async def _serve(self) -> None:
        await self._start_all()
        operator = self._observers.environment if self._observers else {}
        self._data_dir.write_env_file(self._environment | operator)
        self._console.table(
            self._settings, self._servers.environment, self._data_dir, self._plan.worker_metrics
        )
        for spec in self._plan.after:
            code = await self._launcher.run(spec, self._environment)
            outcome = "done" if code == 0 else describe_exit(code)
            self._console.line(f"{spec.name}: {outcome}; log: {self._data_dir.log(spec.name)}")
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            with suppress(OSError):  # the disk is full
                self._data_dir.trim_logs()

    async def _start_all(self) -> None:
        """Start everything, at the same time unless one needs another."""
        async with asyncio.TaskGroup() as starts:
            servers = {
                name: starts.create_task(self._servers.start(name)) for name in self._servers.names
            }
            if "postgres" in servers:
                await servers.pop("postgres")
            for spec in self._plan.before:
                await self._run_once(spec)
            # The API accepts uploads without the bucket, and SeaweedFS can be slow to start.
            for name in servers.keys() & {"cache", "broker"}:
                await servers[name]
            for spec in (*self._plan.services, *self._observer_specs()):
                starts.create_task(self._start(spec))

    def _observer_specs(self) -> list[ProcessSpec]:
        if self._observers is None:
            return []
        auth = self._settings.flower_basic_auth
        flower_auth = auth.get_secret_value() if auth else self._environment["FLOWER_BASIC_AUTH"]
        return self._observers.prepare(flower_auth)

    async def _run_once(self, spec: ProcessSpec) -> None:
        code = await self._launcher.run(spec, self._environment)
        if code != 0:
            log = self._data_dir.log(spec.name)
            raise StartError(f"{spec.name} {describe_exit(code)}; the end of {log}:\n{tail(log)}")
        self._console.line(f"{spec.name}: done")

    async def _start(self, spec: ProcessSpec) -> None:
        supervisor = ProcessSupervisor(spec, self._launcher, self._environment, self._console.line)
        self._supervisors.append(supervisor)
        await supervisor.start()
        self._console.line(f"{spec.name} is ready")

    async def _stop_after(self, running: asyncio.Task[None]) -> int:
        """Wait for the end of `running`, then stop the processes before the servers they use."""
        (outcome,) = await asyncio.gather(running, return_exceptions=True)
        failures = set(_flatten(outcome)) if isinstance(outcome, Exception) else set()
        for failure in failures:
            self._console.line(str(failure) or repr(failure))
        self._data_dir.remove_env_file()
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))
        await self._servers.stop_all()
        self._console.line("stopped")
        for failure in failures:
            if not isinstance(failure, (EmbeddedError, OSError)):
                raise failure
        return EXIT_FAILED if failures else EXIT_STOPPED


def _flatten(error: Exception) -> Iterator[Exception]:
    """Yield the errors of a possibly nested exception group."""
    if isinstance(error, ExceptionGroup):
        for spec in error.exceptions:
            yield from _flatten(spec)
    else:
        yield error
