"""A folder of PostgreSQL's data and the programs that serve it."""

import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.binaries import PostgresInstall
from deploy.embedded.data_dir import write_private
from deploy.embedded.errors import DamagedError, StartError
from deploy.embedded.process import NOBODY, Launcher, ProcessSpec
from deploy.embedded.process_supervisor import tail

USER = "enroll"
MAX_CONNECTIONS = 200


@dataclass(frozen=True)
class Cluster:
    """PostgreSQL's word for the databases of one data folder."""

    launcher: Launcher
    install: PostgresInstall
    folder: Path
    password: str

    def version(self) -> int:
        """Return the major version that wrote the folder.

        Raises:
            DamagedError: the folder does not say.

        """
        file = self.folder / "PG_VERSION"
        try:
            return int(file.read_bytes())
        except (FileNotFoundError, ValueError):
            raise DamagedError(
                f"{file} does not name a version: {self.folder} is no folder of PostgreSQL, or is "
                "damaged; put it back from a copy, or set another DATA_DIR"
            ) from None

    async def initialise(self) -> None:
        """Make the folder anew, with the one user."""
        make_folder(self.folder)
        secret = self.folder.with_name("postgres.password")
        write_private(secret, self.password)
        give_away(secret)
        try:
            # Character classes as in Unicode; an old C library has only plain C.
            for locale in ("C.UTF-8", "C"):
                part = self._tool("initdb", *self._initdb_options(secret, locale))
                if await self.launcher.run(part) == 0:
                    break
            else:
                raise self.failure("initdb")
        finally:
            secret.unlink()

    def _initdb_options(self, secret: Path, locale: str) -> tuple[str, ...]:
        return (
            *("--pgdata", str(self.folder), "--username", USER, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", f"--locale={locale}"),
            *("--no-sync", "--no-instructions"),
        )

    def part(
        self, name: str, port: int, is_ready: Callable[[], Awaitable[bool]], *, fsync: bool
    ) -> ProcessSpec:
        """Return how the folder is served, on a loopback port."""
        _end_orphan(self.folder / "postmaster.pid")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "shared_buffers": "256MB",
            "fsync": "on" if fsync else "off",
        }
        if (self.install.extensions / "pg_stat_statements.control").exists():
            settings["shared_preload_libraries"] = "pg_stat_statements"
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return ProcessSpec(
            name,
            (str(self.install.folder / "postgres"), "-D", str(self.folder), *options),
            is_ready=is_ready,
            folder=self.folder,
            unprivileged=True,
            stop_signal=signal.SIGINT,  # fast: ends the sessions, writes a checkpoint
            death_signal=signal.SIGQUIT,  # immediate: ends its own children too
        )

    async def run(self, program: str, *options: str, port: int | None = None) -> None:
        """Run one of PostgreSQL's tools to its end.

        Raises:
            StartError: it failed; with the end of its log.

        """
        if await self.launcher.run(self._tool(program, *options, port=port)) != 0:
            raise self.failure(program)

    def failure(self, program: str) -> StartError:
        """Return the error of a tool that failed."""
        log = self.launcher.home.log(program)
        return StartError(f"{program} failed; the end of {log}:\n{tail(log)}")

    def _tool(self, program: str, *options: str, port: int | None = None) -> ProcessSpec:
        server = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER}
        client = {**server, "PGPASSWORD": self.password, "PGSSLMODE": "disable"}
        return ProcessSpec(
            program,
            (str(self.install.folder / program), *options),
            environment=client if port else {},
            folder=self.folder,
            unprivileged=True,
        )


def make_folder(folder: Path) -> None:
    """Make an empty folder of the user who runs PostgreSQL."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    give_away(folder)


def give_away(path: Path) -> None:
    """Let the user who runs PostgreSQL own a file or folder: root can't run it."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


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
