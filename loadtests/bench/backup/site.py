"""A PostgreSQL that archives its WAL, a bucket, and `enroll backup` as an operator runs it."""

import asyncio
import os
import secrets
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from deploy.embedded import probe
from deploy.embedded.binaries import find_postgres
from deploy.embedded.cluster import USER, Cluster
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import UNPRIVILEGED_UID, Launcher, Process
from deploy.embedded.servers import running
from infra.backup.archive import open_archive, record_name
from infra.db.engine import direct_connection
from infra.settings import Settings

# Where only root can read this Python, the launcher gives its program a capability to read, which
# PostgreSQL and so `archive_command` inherit.
THROUGH_PYTHON = (sys.executable, "-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])")
ROOT = Path(__file__).parents[3]
ENROLL = (sys.executable, "-m", "cli")
PASSWORD = "of a / test"  # noqa: S105  # pragma: allowlist secret
QUOTED_PASSWORD = quote(PASSWORD, safe="")
OWNER = ("--owner", str(UNPRIVILEGED_UID)) if os.geteuid() == 0 else ()
ARCHIVED_SECONDS = 400
_HASH = """
    SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (SELECT each::text AS line FROM {} each) x
"""


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    output: str
    errors: str


@dataclass
class Site:
    """One server with its archive; `environment` is that of `enroll`."""

    folder: Path
    url: str
    environment: dict[str, str]
    launcher: Launcher
    process: Process | None = None

    @property
    def settings(self) -> Settings:
        """The settings that `enroll` has."""
        named: dict[str, Any] = {key.lower(): value for key, value in self.environment.items()}
        return Settings(_env_file=None, **named)

    async def enroll(self, *arguments: object, **environment: str) -> Done:
        """Run a command."""
        process = await asyncio.create_subprocess_exec(
            *(*ENROLL, *map(str, arguments)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env={**os.environ, **self.environment, **environment},
        )
        output, errors = await process.communicate()
        return Done(process.returncode or 0, output.decode(), errors.decode())

    async def done(self, *arguments: object) -> Done:
        """Run a command that has to succeed."""
        done = await self.enroll(*arguments)
        if done.code:
            raise RuntimeError(f"enroll {arguments}: {done.errors}")
        return done

    @staticmethod
    def restoring(to: datetime | str, into: Path, *options: str) -> tuple[object, ...]:
        """Return the arguments of a restore to a time or to `latest`."""
        moment = to if isinstance(to, str) else to.isoformat()
        return ("restore", "--to", moment, "--into", into, *OWNER, *options)

    async def restore(self, to: datetime | str, into: Path, *options: str) -> Done:
        """Restore to a time or to `latest`."""
        return await self.enroll(*self.restoring(to, into, *options))

    async def query(self, sql: str, *arguments: object, url: str = "") -> Any:
        """Return the first value of a query, on a connection of its own."""
        connection = await asyncpg.connect(url or self.url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    async def lose(self) -> None:
        """Kill the server and delete its folder, as a lost disk does."""
        if self.process and self.process.spec.folder:
            self.process.signal(signal.SIGKILL)
            await self.process.wait()
            await asyncio.to_thread(shutil.rmtree, self.process.spec.folder)

    async def archive(self, command: str) -> None:
        """Set the `archive_command` of a server that was started without one."""
        quoted = command.replace("'", "''")
        await self.query(f"ALTER SYSTEM SET archive_command = '{quoted}'")
        await self.query("SELECT pg_reload_conf()")

    async def archived(self) -> None:
        """Wait until the archive has what the server has committed."""
        await archive_all(self.url)

    async def hashes(self, tables: list[str], url: str = "") -> dict[str, str]:
        """Return a hash of the rows of each table."""
        return {each: await self.query(_HASH.format(each), url=url) for each in tables}

    async def forget_timeline(self, number: int) -> None:
        """Delete what a copy of the server has archived."""
        archive = open_archive(self.settings)
        for name in await archive.names("wal/"):
            if name.rpartition("/")[2].startswith(f"{number:08X}"):
                await archive.delete(name)
        for backup in await archive.backups():
            if backup.timeline == number:
                await archive.delete(record_name(backup.cluster, backup.id))

    @asynccontextmanager
    async def server(self, data: Path, **settings: str) -> AsyncIterator[str]:
        """Run the server of a data folder; yield its URL."""
        port = self.launcher.data_dir.ports.assign(f"postgres-{data}")
        url = f"postgresql://{USER}:{QUOTED_PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable"

        async def is_ready() -> bool:
            try:
                await self.query("SELECT 1", url=url)
            except (OSError, asyncpg.PostgresError):
                return False
            return True

        cluster = Cluster(self.launcher, find_postgres(), data, PASSWORD)
        spec = cluster.server_spec(data.name, port, is_ready, fsync=False)
        options = [part for pair in settings.items() for part in ("-c", "=".join(pair))]
        command = (*THROUGH_PYTHON, *spec.command, *options)
        spec = replace(spec, command=command, environment=self.environment)
        self.process = process = await self.launcher.start(spec)
        try:
            await probe.wait_until(spec.is_ready)
            yield url
        finally:
            await process.stop()


async def archive_all(url: str) -> None:
    """Switch to another segment of WAL, and wait until the one before is in the archive."""
    async with direct_connection(url) as connection:
        segment = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")
        deadline = time.monotonic() + ARCHIVED_SECONDS
        while True:
            last = await connection.fetchval("SELECT last_archived_wal FROM pg_stat_archiver")
            if last is not None and last[8:24] >= segment[8:]:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{segment} is not archived, {last} is the last")
            await asyncio.sleep(0.05)


def archiving(timeout: str = "0") -> dict[str, str]:
    """Return the server's settings, as docs/deployment.md has them."""
    return {
        "archive_mode": "on",
        "archive_command": f"{shlex.join(ENROLL)} backup archive-wal %p",
        "archive_timeout": timeout,
        "summarize_wal": "on",
    }


@contextmanager
def public_folder() -> Iterator[Path]:
    """Return a folder that PostgreSQL's user can enter: pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="enroll-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def new_key(file: Path) -> Path:
    """Write a key; PostgreSQL's user reads it, too."""
    file.write_bytes(b64encode(secrets.token_bytes(32)) + b"\n")
    file.chmod(0o644)
    return file


def copied_programs(folder: Path) -> dict[str, str]:
    """Return the setting of programs that PostgreSQL's user can run, a copy if need be."""
    install = find_postgres().folder.parent
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in (install, *install.parents)):
        return {}
    copy = shutil.copytree(install, folder / "postgres", symlinks=True)
    return {"BACKUP_POSTGRES_BIN": str(copy / "bin")}


@asynccontextmanager
async def site(
    folder: Path, archive_timeout: str = "0", *, archives: bool = True
) -> AsyncIterator[Site]:
    """Run a bucket and a server that archives into it, or does so from `archive` on."""
    async with (
        running(folder / "bucket", {"storage"}, fsync=False) as servers,
        Launcher(home := DataDir(folder / "home")) as launcher,
    ):
        data = home.root / "data"
        await Cluster(launcher, find_postgres(), data, PASSWORD).initialise()
        environment = {
            **servers.environment,
            "DATA_DIR": str(folder / "enroll"),
            "BACKUP_KEY_FILE": str(new_key(folder / "backup.key")),
            "PYTHONPATH": str(ROOT),
            **copied_programs(folder),
        }
        here = Site(folder, "", environment, launcher)
        settings = archiving(archive_timeout)
        if not archives:
            del settings["archive_command"]
        async with here.server(data, **settings) as url:
            here.url = environment["DATABASE_URL"] = url
            yield here
