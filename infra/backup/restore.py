"""Restores a data folder as it was at a time: fetch, combine, verify, replay, promote."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from infra.backup import folders, wal
from infra.backup.archive import Archive, data_folder, open_archive, wal_name
from infra.backup.choose import Choice, Wanted, choose, cluster_of, parse_history
from infra.backup.errors import BackupRefused, RestoreRefused, TimeNotCovered
from infra.backup.feed import Feed
from infra.backup.programs import Owner, Programs, find_programs
from infra.backup.record import Backup
from infra.backup.replay import NotReached, Replay
from infra.settings import Settings

# A restore of a chain has its files twice while they are combined.
_COPIES = 2


@dataclass(frozen=True)
class Restored:
    """What was restored; `last_transaction` is the time of the last one that was replayed."""

    folder: Path
    backups: list[str]
    timeline: int
    last_transaction: str | None


async def restore(
    settings: Settings,
    wanted: Wanted,
    folder: Path,
    owner: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restore into a folder that is empty or absent, and leave its server promoted and stopped.

    The folder is an absolute path.

    Raises:
        RestoreRefused: the folder is in use or has files.
        NoSuchBackup, TimeNotCovered, WrongKey: as they say.
        BackupError: a program or the store failed; the folder is empty again.

    """
    _check_folder(folder)
    user = Owner.named(owner)
    archive, programs = open_archive(settings), find_programs(settings)
    backups = await archive.backups()
    cluster = cluster_of(wanted, backups)
    own = [each for each in backups if each.cluster == cluster]
    files = await wal.files(archive, cluster)
    choice = choose(wanted, own, await _histories(archive, cluster, files))
    newest = choice.backups[-1]
    if newest.major != programs.major:
        raise BackupRefused(
            f"{programs.folder} is of PostgreSQL {programs.major}, the backup is of "
            f"{newest.major}: set BACKUP_POSTGRES_BIN to its programs"
        )
    await _check_end(archive, choice, files, wanted.to)
    folder.parent.mkdir(parents=True, exist_ok=True)
    user.check(programs.folder / "postgres", folder.parent)
    _check_space(folder.parent, choice)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as work:
        restoring = _Restoring(archive, programs, user, choice, Path(work), report)
        try:
            last = await restoring.run(folder, wanted.to)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    ids = [each.id for each in choice.backups]
    return Restored(folder, ids, choice.timeline, last)


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        return
    if (folder / "postmaster.pid").exists():
        raise RestoreRefused(f"{folder} is the folder of a running PostgreSQL; restore elsewhere")
    if not folder.is_dir() or folder.is_mount() or any(folder.iterdir()):
        raise RestoreRefused(f"{folder} is not empty, or a mount point; restore into a new folder")


def _check_space(disk: Path, choice: Choice) -> None:
    needed = sum(each.size for each in choice.backups) * (_COPIES if choice.backups[1:] else 1)
    if (free := shutil.disk_usage(disk).free) < needed:
        raise RestoreRefused(
            f"{disk} has {free / 1e9:.1f} GB left, the restore needs {needed / 1e9:.1f} GB"
        )


async def _histories(archive: Archive, cluster: str, files: list[str]) -> dict[int, dict[int, int]]:
    histories = {}
    for file in files:
        if match := wal.HISTORY.fullmatch(file):
            found = await archive.require(wal_name(cluster, file))
            histories[int(match[1], 16)] = parse_history(wal.decode(found).data.decode())
    return histories


async def _check_end(
    archive: Archive, choice: Choice, files: list[str], to: datetime | None
) -> None:
    """Check that WAL past the time is archived: no replay has to fail to find out."""
    if to is None:
        return
    own = [each for each in files if wal.SEGMENT.fullmatch(each[:24])]
    last = max((each for each in own if int(each[:8], 16) == choice.timeline), default=None)
    found = last and await wal.get_file(archive, choice.backups[0].cluster, last)
    if not found:
        raise TimeNotCovered(f"no WAL of the timeline {choice.timeline} is archived")
    if found.written_at < to:
        raise TimeNotCovered(
            f"{to:%Y-%m-%d %H:%M:%S%z} is after the last archived WAL, which ends at "
            f"{found.written_at:%Y-%m-%d %H:%M:%S%z}: wait until more is archived (SELECT "
            "pg_switch_wal() on a running server), or restore --to latest"
        )


@dataclass(frozen=True)
class _Restoring:
    """The steps of one restore, with what they share."""

    archive: Archive
    programs: Programs
    owner: Owner
    choice: Choice
    work: Path
    report: Callable[[str], None]

    async def run(self, folder: Path, to: datetime | None) -> str | None:
        """Return the time of the last transaction."""
        # Fetched beside the folder: its disk has the space, and files are linked, not copied.
        parts = [await self._fetch(each) for each in self.choice.backups]
        if len(parts) == 1:
            parts[0].replace(folder)
        else:
            self.report(f"combining {len(parts)} backups")
            await self.programs.run("pg_combinebackup", "--link", *parts, "--output", folder)
            for part in parts:
                await asyncio.to_thread(shutil.rmtree, part)
        self.report("verifying the files")
        await self.programs.run("pg_verifybackup", "--quiet", folder)
        await asyncio.to_thread(self.owner.take, folder)
        self.report("replaying the WAL")
        try:
            return await self._replay(folder, to)
        except NotReached:
            # The archive has all WAL up to the time: there was no later transaction.
            return await self._replay(folder, None)

    async def _fetch(self, backup: Backup) -> Path:
        self.report(f"fetching the {backup.kind} backup {backup.id}")
        target = self.work / backup.id
        target.mkdir(mode=0o700)
        chunks = self.archive.parts(data_folder(backup.cluster, backup.id), backup.parts)
        await folders.unpack(chunks, target)
        return target

    async def _replay(self, folder: Path, to: datetime | None) -> str | None:
        newest = self.choice.backups[-1]
        work = self.work / "replay"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        self.work.chmod(0o711)
        replay = Replay(self.programs, self.owner, folder, work, self.choice.timeline)
        feed = Feed(self.archive, newest.cluster, newest.segment_bytes, work)
        return await replay.run(feed, to)
