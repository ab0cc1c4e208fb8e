"""Makes a base backup: pg_basebackup into a folder, verified, sealed, stored, recorded."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from shutil import disk_usage

import asyncpg
import orjson

from infra.backup import folders, source, wal
from infra.backup.archive import PART_BYTES, Archive, data_folder, manifest_name, open_archive
from infra.backup.errors import BackupError, BackupRefused
from infra.backup.programs import Programs, find_programs
from infra.backup.record import Backup, Kind, chain, parse_lsn
from infra.backup.source import FIRST_INCREMENTAL, Server
from infra.db.engine import direct_connection
from infra.process.private_files import private_folder
from infra.settings import Settings

_MANIFEST = "backup_manifest"
# PostgreSQL's words if it doesn't know what changed since the parent.
_NO_SUMMARIES = "WAL summaries"


async def create(settings: Settings, kind: Kind | None = None) -> Backup:
    """Make a backup and return it; without a kind it is incremental if that is possible and due.

    Raises:
        BackupRefused: settings or server allow none of this kind.
        BackupError: a program or the store failed; nothing is recorded.

    """
    archive, programs = open_archive(settings), find_programs(settings)
    async with direct_connection(source.address(settings)) as connection:
        await source.lock(connection)
        server = await source.inspect(connection)
        if server.major != programs.major:
            raise BackupRefused(
                f"{programs.folder} is of PostgreSQL {programs.major}, the server is of "
                f"{server.major}: set BACKUP_POSTGRES_BIN to its programs"
            )
        known = await archive.backups(server.cluster)
        parent = _parent(settings, server, known, kind)
        making = _Making(settings, archive, programs, connection, server)
        try:
            return await making.run(parent)
        except BackupError as error:
            # The server was off, or its summaries are deleted: only a full backup helps.
            if kind or parent is None or _NO_SUMMARIES not in error.message:
                raise
            return await making.run(None)


async def newest(settings: Settings) -> datetime | None:
    """Return when the newest backup of the settings' server was complete; None: there is none.

    Raises:
        BackupRefused: the settings or the server allow no backup.

    """
    archive = open_archive(settings)
    async with direct_connection(source.address(settings)) as connection:
        server = await source.inspect(connection)
    ended = [each.ended_at for each in await archive.backups(server.cluster)]
    return max(ended, default=None)


def _parent(
    settings: Settings, server: Server, known: Sequence[Backup], kind: Kind | None
) -> Backup | None:
    """Return the backup that an incremental one builds on; None: a full one is to be made."""
    if kind is Kind.FULL:
        return None
    usable = [
        each for each in known if (each.timeline, each.major) == (server.timeline, server.major)
    ]
    whole = [found for each in usable if (found := chain(each, usable))]
    if reason := _no_incremental(server, whole):
        if kind is Kind.INCREMENTAL:
            raise BackupRefused(f"no incremental backup is possible: {reason}")
        return None
    full, newest = whole[-1][0], whole[-1][-1]
    age = server.now - full.ended_at
    if kind is None and age >= timedelta(hours=settings.backup_full_interval_hours):
        return None
    return newest


def _no_incremental(server: Server, whole: Sequence[Sequence[Backup]]) -> str:
    if server.major < FIRST_INCREMENTAL:
        return f"PostgreSQL {server.major} has none, {FIRST_INCREMENTAL} and newer have"
    if not server.is_summarizing:
        return "summarize_wal is off on the server"
    return "" if whole else "there is no full backup of the server's timeline"


@dataclass(frozen=True)
class _Making:
    """The steps of one backup, with what they share."""

    settings: Settings
    archive: Archive
    programs: Programs
    connection: asyncpg.Connection
    server: Server

    async def run(self, parent: Backup | None) -> Backup:
        """Make it in a folder of its own, which is removed."""
        folder = private_folder(self.settings.backup_folder.absolute())
        free = disk_usage(folder).free
        if parent is None and free < self.server.bytes * 1.1:
            raise BackupRefused(
                f"{folder} has {free / 1e9:.1f} GB left, the databases have "
                f"{self.server.bytes / 1e9:.1f} GB; set BACKUP_WORK_DIR to a larger disk"
            )
        with tempfile.TemporaryDirectory(dir=folder, prefix="base-") as work:
            return await self._run(Path(work), parent)

    async def _run(self, work: Path, parent: Backup | None) -> Backup:
        started_at = await self.connection.fetchval("SELECT clock_timestamp()")
        data = work / "data"
        await self._copy(work, data, parent)
        await self.programs.run("pg_verifybackup", "--quiet", data)
        ended_at = await self.connection.fetchval("SELECT clock_timestamp()")
        manifest = (data / _MANIFEST).read_bytes()
        ranges = orjson.loads(manifest)["WAL-Ranges"]
        backup_id = f"{started_at:%Y%m%dT%H%M%S}{started_at.microsecond // 1000:03}Z"
        cluster = self.server.cluster
        await self._archive_histories(data / "pg_wal")
        await self.archive.put(manifest_name(cluster, backup_id), manifest)
        backup = Backup(
            id=backup_id,
            kind=Kind.INCREMENTAL if parent else Kind.FULL,
            parent=parent.id if parent else None,
            cluster=cluster,
            major=self.server.major,
            timeline=ranges[-1]["Timeline"],
            start_lsn=parse_lsn(ranges[0]["Start-LSN"]),
            end_lsn=parse_lsn(ranges[-1]["End-LSN"]),
            segment_bytes=self.server.segment_bytes,
            started_at=started_at,
            ended_at=ended_at,
            size=await asyncio.to_thread(_size, data),
            parts=await self.archive.put_parts(
                data_folder(cluster, backup_id), folders.pack(data, PART_BYTES)
            ),
        )
        await self.archive.put_backup(backup)
        return backup

    async def _copy(self, work: Path, data: Path, parent: Backup | None) -> None:
        url, environment = source.without_password(source.address(self.settings))
        arguments: list[object] = ["--dbname", url, "--pgdata", data, "--no-password", "--no-sync"]
        arguments += ["--wal-method=stream", "--checkpoint=fast"]
        if parent:
            manifest = work / "parent_manifest"
            name = manifest_name(parent.cluster, parent.id)
            manifest.write_bytes(await self.archive.require(name))
            arguments += ["--incremental", manifest]
        await self.programs.run("pg_basebackup", *arguments, environment=environment)

    async def _archive_histories(self, folder: Path) -> None:
        """Archive the history of the timeline: a server that was promoted without doesn't."""
        for file in await asyncio.to_thread(lambda: [*folder.glob("*.history")]):
            await wal.put_file(self.archive, self.server.cluster, file.name, wal.read(file))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
