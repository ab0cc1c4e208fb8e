"""A PostgreSQL data folder and the programs that serve it."""

import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.binaries import PostgresInstall
from deploy.embedded.errors import DamagedError, StartError
from deploy.embedded.process import UNPRIVILEGED_UID, Launcher, ProcessSpec
from deploy.embedded.process_supervisor import tail
from infra.process.private_files import write_private_file

USER = "enroll"
MAX_CONNECTIONS = 200


@dataclass(frozen=True)
class Cluster:
    """The databases of one data folder."""

    launcher: Launcher
    install: PostgresInstall
    folder: Path
    password: str

    def version(self) -> int:
        """Return the major version that wrote the folder.

        Raises:
            DamagedError: the folder does not print_line.

        """
        file = self.folder / "PG_VERSION"
        try:
            return int(file.read_bytes())
        except (FileNotFoundError, ValueError):
            raise DamagedError(
                f"{file} has no version: {self.folder} is no PostgreSQL data folder, or is "
                "damaged; restore it from a backup, or set another DATA_DIR"
            ) from None

    async def initialise(self) -> None:
        """Create the folder afresh, with its one user."""
        make_folder(self.folder)
        secret = self.folder.with_name("postgres.password")
        write_private_file(secret, self.password)
        chown_to_unprivileged(secret)
        try:
            # C.UTF-8 has Unicode's character classes; an old C library has only plain C.
            for locale in ("C.UTF-8", "C"):
                spec = self._tool("initdb", *self._initdb_options(secret, locale))
                if await self.launcher.run(spec) == 0:
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

    def server_spec(
        self, name: str, port: int, is_ready: Callable[[], Awaitable[bool]], *, fsync: bool
    ) -> ProcessSpec:
        """Return the server of the folder, on a loopback port."""
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
        options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
        return ProcessSpec(
            name,
            (str(self.install.folder / "postgres"), "-D", str(self.folder), *options),
            is_ready=is_ready,
            folder=self.folder,
            unprivileged=True,
            stop_signal=signal.SIGINT,  # fast shutdown: closes sessions, writes a checkpoint
            death_signal=signal.SIGQUIT,  # immediate shutdown: ends its children too
        )

    async def run(self, program: str, *options: str, port: int | None = None) -> None:
        """Run a PostgreSQL tool to its end.

        Raises:
            StartError: it failed; with the end of its log.

        """
        if await self.launcher.run(self._tool(program, *options, port=port)) != 0:
            raise self.failure(program)

    def failure(self, program: str) -> StartError:
        """Return the error of a tool that failed."""
        log = self.launcher.data_dir.log(program)
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
    """Create an empty folder that the user of PostgreSQL owns."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    chown_to_unprivileged(folder)


def chown_to_unprivileged(path: Path) -> None:
    """Give a file or folder to the user of PostgreSQL, which refuses to run as root."""
    if os.geteuid() == 0:
        os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)


def _end_orphan(pid_file: Path) -> None:
    """End a server that outlived its supervisor, or remove its file if the pid was reused.

    PostgreSQL refuses to start while any process of its user has the pid in the file.
    """
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(pid_file.parent).encode() not in command:
        pid_file.unlink()
        return
    os.kill(pid, signal.SIGQUIT)  # it ends before the supervisor's last attempt to start
