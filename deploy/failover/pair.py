"""Two PostgreSQL servers, of which one is the primary and the other its standby."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import asyncpg
import psutil

from deploy.embedded import probe
from deploy.embedded.binaries import find_postgres
from deploy.embedded.cluster import USER, Cluster, make_folder
from deploy.embedded.postgres import CREATE_DATABASE, DATABASE
from deploy.embedded.process import Launcher, Process
from infra.db.engine import direct_connection

# In the file, not on the command line: pg_rewind starts the old primary by itself, and without
# `wal_keep_size` that removes the WAL that pg_rewind needs.
SETTINGS = """
# A standby looks for its promotion and for WAL as often as this; the default is 5 s.
wal_retrieve_retry_interval = 200ms
wal_keep_size = 512MB
hot_standby_feedback = on
"""
# Which standbys a commit waits for.
WAIT_FOR_ALL = "ALTER SYSTEM SET synchronous_standby_names = '*'"
WAIT_FOR_NONE = "ALTER SYSTEM SET synchronous_standby_names = ''"
READY_SECONDS = 30.0
# More than a restart of the walreceiver, less than the service's time limits.
CAUGHT_UP_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """What both servers have beside SETTINGS, as an archive of their WAL needs it.

    `settings` are lines of postgresql.conf, `through` is a command that becomes the server.
    """

    settings: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    through: tuple[str, ...] = ()


class Server:
    """A server that is started, killed, promoted, and rejoined to another one."""

    def __init__(self, launcher: Launcher, name: str, password: str, options: Options) -> None:
        self.name = name
        self._options = options
        self.port = launcher.data_dir.ports.assign(name)
        folder = launcher.data_dir.root / name
        self.cluster = Cluster(launcher, find_postgres(), folder, password)
        self._launcher = launcher
        self._process: Process | None = None

    def url(self, database: str = DATABASE) -> str:
        """The URL of one of its databases."""
        return f"postgresql://{self.account}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    @property
    def account(self) -> str:
        """User and password of a URL."""
        return f"{USER}:{self.cluster.password}"

    async def start(self) -> None:
        """Start it; return when it answers."""
        spec = self.cluster.server_spec(self.name, self.port, self._answers, fsync=True)
        command = (*self._options.through, *spec.command, "-c", f"cluster_name={self.name}")
        environment = self._options.environment
        spec = replace(spec, command=command, environment=environment, grace_seconds=READY_SECONDS)
        self._process = await self._launcher.start(spec)
        await probe.wait_until(self._answers)

    async def create(self) -> None:
        """Create an empty server, with what a standby and a later standby need."""
        await self.cluster.initialise()
        with (self.cluster.folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"{SETTINGS}{self._options.settings}")

    async def kill(self) -> None:
        """End it as a crash of its machine would."""
        if self._process:
            self._signal_all(signal.SIGKILL)
            await self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """Stop it as a stalled disk would: its machine answers, and it does not."""
        self._signal_all(signal.SIGSTOP)

    def _signal_all(self, signum: signal.Signals) -> None:
        if self._process:
            # Each session has a process group of its own. The parent goes first: it forks no more.
            main = psutil.Process(self._process.pid)
            for process in (main, *main.children()):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signum)

    async def stop(self) -> None:
        """Stop it as its operator would: its standby gets all that it has committed."""
        if self._process:
            await self._process.stop()
        self._process = None

    async def promote(self) -> None:
        """Make the standby the primary; return when it takes writes, which wait for no standby."""
        await self._execute_and_reload(WAIT_FOR_NONE)
        await self.execute("SELECT pg_promote()")

    async def join(self, primary: "Server") -> None:
        """Copy the primary, and follow it from then on."""
        make_folder(self.cluster.folder)
        copied = ("--pgdata", str(self.cluster.folder), "--write-recovery-conf", "--no-sync")
        options = (*copied, "--checkpoint=fast", "--wal-method=stream")
        await self.cluster.run("pg_basebackup", *options, port=primary.port)
        await self.start()

    async def rejoin(self, primary: "Server") -> None:
        """Take back what the new primary never had, and follow it from then on."""
        source = f"host=127.0.0.1 port={primary.port} user={USER} dbname=postgres"
        await self.cluster.run(
            "pg_rewind",
            *("--target-pgdata", str(self.cluster.folder), "--no-sync", "--write-recovery-conf"),
            f"--source-server={source} password={self.cluster.password} sslmode=disable",
        )
        await self.start()

    async def is_followed(self) -> bool:
        """Return whether a standby streams and has all of this primary's WAL on its disk."""
        query = """
            SELECT EXISTS (SELECT FROM pg_stat_replication
                WHERE state = 'streaming' AND flush_lsn >= pg_current_wal_lsn())
        """
        async with direct_connection(self.url("postgres"), READY_SECONDS) as connection:
            return bool(await connection.fetchval(query))

    async def wait_for_standby(self, *, synchronous: bool) -> None:
        """Wait until the standby follows; then commits wait for it too, if `synchronous`."""
        await probe.wait_until(self.is_followed)
        await self._execute_and_reload(WAIT_FOR_ALL if synchronous else WAIT_FOR_NONE)

    async def _execute_and_reload(self, statement: str) -> None:
        await self.execute(statement)
        await self.execute("SELECT pg_reload_conf()")

    async def execute(self, statement: str) -> None:
        """Run a statement in the administrative database."""
        async with direct_connection(self.url("postgres"), READY_SECONDS) as connection:
            await connection.execute(statement)

    async def _answers(self) -> bool:
        try:
            await self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True


class Pair:
    """The two servers; after a promotion they change their roles."""

    def __init__(self, launcher: Launcher, options: Options) -> None:
        password = launcher.data_dir.secrets["postgres_password"]
        self.primary = Server(launcher, "one", password, options)
        self.standby = Server(launcher, "two", password, options)
        # The order stays the same, so that the first host of the URL is the one that fails first.
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (self.primary, self.standby))
        query = "sslmode=disable&target_session_attrs=primary"
        self.url = f"postgresql://{self.primary.account}@{hosts}/{DATABASE}?{query}"

    async def start(self, *, synchronous: bool) -> None:
        """Create the primary with an empty database, and a standby that follows it."""
        await self.primary.create()
        await self.primary.start()
        with suppress(asyncpg.DuplicateDatabaseError):
            await self.primary.execute(CREATE_DATABASE)
        await self.standby.join(self.primary)
        await self.primary.wait_for_standby(synchronous=synchronous)

    async def fail_over(self) -> None:
        """Promote the standby of a primary that is gone."""
        self.primary, self.standby = self.standby, self.primary
        await self.primary.promote()

    async def rejoin(self, *, synchronous: bool) -> None:
        """Make the old primary the standby of the new one; it may be frozen."""
        await self.standby.kill()
        await self.standby.rejoin(self.primary)
        await self.primary.wait_for_standby(synchronous=synchronous)

    async def stop(self) -> None:
        """End both; the standby first, for which the primary would wait otherwise."""
        await self.standby.kill()
        await self.primary.stop()


@asynccontextmanager
async def running_pair(
    launcher: Launcher, *, synchronous: bool, options: Options = Options()
) -> AsyncIterator[Pair]:
    """Run a primary and its standby for the duration of the block."""
    pair = Pair(launcher, options)
    try:
        await pair.start(synchronous=synchronous)
        yield pair
    finally:
        await pair.stop()
