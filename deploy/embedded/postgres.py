"""PostgreSQL: made on first use, on a loopback port, with a password."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import asyncpg

from deploy.embedded.binaries import find_postgres
from deploy.embedded.errors import StartError
from deploy.embedded.home import Home, write_private
from deploy.embedded.keeper import tail
from deploy.embedded.process import NOBODY, Launcher, Part
from infra.settings import Settings

USER = "enroll"
DATABASE = "course_enrollment"
CREATE_DATABASE = f'CREATE DATABASE "{DATABASE}"'
CONNECT_SECONDS = 2.0


class Postgres:
    """The database."""

    name = "postgres"
    title = "PostgreSQL"

    def __init__(self, home: Home, launcher: Launcher, *, fsync: bool = True) -> None:
        self._launcher = launcher
        self._fsync = fsync
        self._password = home.secrets["postgres_password"]
        self._folder = home.root / "postgres"
        self.port = home.ports.take(self.name)
        data_version = self._folder / "PG_VERSION"
        version = int(data_version.read_text(encoding="ascii")) if data_version.exists() else None
        self._install = find_postgres(version)

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Tell whether no database is named in the settings."""
        return settings.database is None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        place = f"127.0.0.1:{self.port}/{DATABASE}"
        return {"DATABASE_URL": f"postgresql://{USER}:{self._password}@{place}?sslmode=disable"}

    async def prepare(self) -> Part:
        """Make the data folder if there is none."""
        if not self._folder.exists():
            await self._initialise()
        _end_orphan(self._folder / "postmaster.pid")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "256MB",
            "fsync": "on" if self._fsync else "off",
        }
        if (self._install.extensions / "pg_stat_statements.control").exists():
            settings["shared_preload_libraries"] = "pg_stat_statements"
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        program = str(self._install.folder / "postgres")
        return Part(
            self.name,
            (program, "-D", str(self._folder), *options),
            is_ready=self._is_ready,
            folder=self._folder,
            unprivileged=True,
            stop_signal=signal.SIGINT,  # fast: ends the sessions, writes a checkpoint
            death_signal=signal.SIGQUIT,  # immediate: ends its own children too
        )

    async def _initialise(self) -> None:
        """Make the cluster aside, so that a start cut short leaves none half made."""
        draft = self._folder.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        secret = draft.with_name("postgres.password")
        write_private(secret, self._password)
        if os.geteuid() == 0:
            os.chown(draft, NOBODY, NOBODY)
            os.chown(secret, NOBODY, NOBODY)
        try:
            # Character classes as in Unicode; an old C library has only plain C.
            for locale in ("C.UTF-8", "C"):
                command = self._initdb(draft, secret, locale)
                part = Part("initdb", command, folder=draft, unprivileged=True)
                if await self._launcher.run(part) == 0:
                    break
            else:
                log = self._launcher.home.log("initdb")
                raise StartError(f"initdb failed; the end of {log}:\n{tail(log)}")
        finally:
            secret.unlink()
        draft.rename(self._folder)

    def _initdb(self, folder: Path, secret: Path, locale: str) -> tuple[str, ...]:
        return (
            *(str(self._install.folder / "initdb"), "--pgdata", str(folder)),
            *("--username", USER, "--pwfile", str(secret), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", f"--locale={locale}", "--no-sync", "--no-instructions"),
        )

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


def _end_orphan(pid_file: Path) -> None:
    """End a server that outlived its supervisor, and forget a number that is another's now.

    PostgreSQL refuses to start while the number in its file is of any process of its user.
    """
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(pid_file.parent).encode() not in command:
        pid_file.unlink()
        return
    os.kill(pid, signal.SIGQUIT)  # ends within the time that the keeper tries again
