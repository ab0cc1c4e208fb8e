"""What of the archive can be deleted: nothing that a restore within the retention needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from infra.backup import wal
from infra.backup.archive import Archive, data_folder, open_archive, record_name, wal_name
from infra.backup.record import Backup, chain, segment_name
from infra.settings import Settings

# A backup that is being made has parts and no record.
UNFINISHED_DAYS = 2
_LOG_POSITION = slice(8, 24)


@dataclass(frozen=True)
class Retained:
    """The backups that stay, and the first WAL segment that stays, without its timeline."""

    backups: frozenset[str]
    first_segment: str


def retained(backups: Sequence[Backup], until: datetime) -> Retained | None:
    """Return what restores to a time since `until` need; None: all of it.

    `backups` are those of one cluster. The newest backup before that time is the base of the first
    restores; the ancestors of incremental backups stay, too.
    """
    whole = [each for each in backups if chain(each, backups)]
    before = [each for each in whole if each.ended_at <= until]
    if not before:
        return None
    base = max(before, key=lambda each: each.ended_at)
    bases = [each for each in backups if each.ended_at >= base.ended_at]
    kept = {ancestor.id for each in bases for ancestor in chain(each, backups) or [each]}
    first = min(bases, key=lambda each: each.start_lsn)
    name = segment_name(first.timeline, first.start_lsn, first.segment_bytes)
    return Retained(frozenset(kept), name[_LOG_POSITION])


async def prune(settings: Settings, now: datetime | None = None) -> int:
    """Delete what is not retained, and what failed backups left; return how many backups.

    Raises:
        BackupError: the store failed; the next call deletes the rest.

    """
    archive = open_archive(settings)
    now = now or datetime.now(UTC)
    until = now - timedelta(days=settings.backup_retention_days)
    backups = sorted(await archive.backups(), key=lambda each: each.cluster)
    deleted = 0
    for cluster, group in groupby(backups, key=lambda each: each.cluster):
        own = [*group]
        if kept := retained(own, until):
            old = [each for each in own if each.id not in kept.backups]
            # Newest first: at each moment, every incremental backup has its parent.
            for backup in sorted(old, key=lambda each: each.ended_at, reverse=True):
                await archive.delete(record_name(cluster, backup.id))
                await archive.delete(data_folder(cluster, backup.id))
            deleted += len(old)
            await _prune_wal(archive, cluster, kept.first_segment)
        await _prune_unfinished(archive, cluster, {each.id for each in own}, now)
    return deleted


async def _prune_wal(archive: Archive, cluster: str, first_segment: str) -> None:
    for file in await wal.files(archive, cluster):
        if not wal.HISTORY.fullmatch(file) and file[_LOG_POSITION] < first_segment:
            await archive.delete(wal_name(cluster, file))


async def _prune_unfinished(archive: Archive, cluster: str, known: set[str], now: datetime) -> None:
    oldest = f"{now - timedelta(days=UNFINISHED_DAYS):%Y%m%dT%H%M%S}"
    prefix = f"data/{cluster}/"
    found = {
        name.removeprefix(prefix).partition("/")[0] for name in await archive.names(prefix)
    } - known
    for backup_id in found:
        if backup_id < oldest:
            await archive.delete(data_folder(cluster, backup_id))
