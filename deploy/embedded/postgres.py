"""PostgreSQL: made on first use, on a loopback port, with a password."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg

from deploy.embedded.binaries import find_postgres
from deploy.embedded.cluster import USER, Cluster
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher, ProcessSpec
from deploy.embedded.upgrade import finish_upgrade, upgrade
from infra.settings import Settings

DATABASE = "course_enrollment"
CREATE_DATABASE = f'CREATE DATABASE "{DATABASE}"'
CONNECT_SECONDS = 2.0


class Postgres:
    """The database."""

    name = "postgres"
    title = "PostgreSQL"

    def __init__(
        self,
        home: DataDir,
        launcher: Launcher,
        *,
        fsync: bool = True,
        chosen: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._home = home
        self._launcher = launcher
        self._say = say
        self._fsync = fsync
        self._password = home.secrets["postgres_password"]
        self._folder = home.root / "postgres"
        self.port = home.ports.take(self.name)
        self._install = find_postgres(chosen)

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Tell whether no database is named in the settings."""
        return settings.database is None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        place = f"127.0.0.1:{self.port}/{DATABASE}"
        return {"DATABASE_URL": f"postgresql://{USER}:{self._password}@{place}?sslmode=disable"}

    async def prepare(self) -> ProcessSpec:
        """Make the data folder if there is none; upgrade one of an older version."""
        cluster = Cluster(self._launcher, self._install, self._folder, self._password)
        finish_upgrade(self._folder)
        if not self._folder.exists():
            await self._initialise()
        elif (version := cluster.version()) != self._install.major:
            ports = (self._home.ports.take("postgres_old"), self.port)
            await upgrade(cluster, version, ports, self._say)
        return cluster.part(self.name, self.port, self._is_ready, fsync=self._fsync)

    async def _initialise(self) -> None:
        """Make the cluster aside, so that a start cut short leaves none half made."""
        draft = self._folder.with_name("postgres.new")
        await Cluster(self._launcher, self._install, draft, self._password).initialise()
        draft.rename(self._folder)

    async def _is_ready(self) -> bool:
        """Tell whether a session works, and see to it that the database exists."""
        try:
            connection = await asyncpg.connect(
                host="127.0.0.1",
                port=self.port,
                user=USER,
                password=self._password,
                database="postgres",
                ssl=False,
                timeout=CONNECT_SECONDS,
                # The database takes reads only while the disk is full (deploy/embedded/disk.py).
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
