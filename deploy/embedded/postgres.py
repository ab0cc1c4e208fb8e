"""The embedded PostgreSQL: created on first use, on a loopback port, with a password."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg

from deploy.embedded.binaries import find_postgres
from deploy.embedded.cluster import USER, Cluster
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher, ProcessSpec
from deploy.embedded.upgrade import finish_upgrade, upgrade

DATABASE = "course_enrollment"
CREATE_DATABASE = f'CREATE DATABASE "{DATABASE}"'
CONNECT_SECONDS = 2.0


class Postgres:
    """The database."""

    name = "postgres"
    title = "PostgreSQL"

    def __init__(
        self,
        data_dir: DataDir,
        launcher: Launcher,
        *,
        fsync: bool = True,
        chosen: Path | None = None,
        print_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._data_dir = data_dir
        self._launcher = launcher
        self._print_line = print_line
        self._fsync = fsync
        self._password = data_dir.secrets["postgres_password"]
        self._folder = data_dir.root / "postgres"
        self.port = data_dir.ports.assign(self.name)
        self._install = find_postgres(chosen)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a client."""
        location = f"127.0.0.1:{self.port}/{DATABASE}"
        return {"DATABASE_URL": f"postgresql://{USER}:{self._password}@{location}?sslmode=disable"}

    async def prepare(self) -> ProcessSpec:
        """Create the data folder if it is missing; upgrade one of an older version."""
        cluster = Cluster(self._launcher, self._install, self._folder, self._password)
        finish_upgrade(self._folder)
        if not self._folder.exists():
            await self._initialise()
        elif (version := cluster.version()) != self._install.major:
            ports = (self._data_dir.ports.assign("postgres_old"), self.port)
            await upgrade(cluster, version, ports, self._print_line)
        return cluster.server_spec(self.name, self.port, self._is_ready, fsync=self._fsync)

    async def _initialise(self) -> None:
        """Create the cluster under another name: an interrupted start leaves no partial one."""
        draft = self._folder.with_name("postgres.new")
        await Cluster(self._launcher, self._install, draft, self._password).initialise()
        draft.rename(self._folder)

    async def _is_ready(self) -> bool:
        """Return whether a session works; create the database if it is missing."""
        try:
            connection = await asyncpg.connect(
                host="127.0.0.1",
                port=self.port,
                user=USER,
                password=self._password,
                database="postgres",
                ssl=False,
                timeout=CONNECT_SECONDS,
                # The default is on while the disk is full (deploy/embedded/disk.py).
                server_settings={"default_transaction_read_only": "off"},
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        try:
            with suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(CREATE_DATABASE)
        finally:
            await connection.close()
        return True
