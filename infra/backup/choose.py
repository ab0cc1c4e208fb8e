"""Chooses the backups and the timeline of a restore; says why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.backup.errors import NoSuchBackup, TimeNotCovered
from infra.backup.record import Backup, chain, parse_lsn


@dataclass(frozen=True)
class Wanted:
    """What an operator asks for; None: the end of the archive, any cluster, the newest timeline."""

    to: datetime | None
    cluster: str | None = None
    backup: str | None = None
    timeline: int | None = None


@dataclass(frozen=True)
class Choice:
    """The backups from the full one to the last incremental one, and the timeline to follow."""

    backups: list[Backup]
    timeline: int


def parse_history(text: str) -> dict[int, int]:
    """Return the timelines of a history file, each with the position at which it was left."""
    switches = {}
    for line in text.splitlines():
        fields = line.split("#")[0].split()
        if len(fields) >= 2:  # noqa: PLR2004  the timeline, its end, and a reason
            switches[int(fields[0])] = parse_lsn(fields[1])
    return switches


def cluster_of(wanted: Wanted, backups: Sequence[Backup]) -> str:
    """Return the cluster to restore.

    Raises:
        NoSuchBackup: there is none, or there are several and none is named.

    """
    clusters = sorted({each.cluster for each in backups})
    if not clusters:
        raise NoSuchBackup("there is no backup in the archive")
    if wanted.cluster is None and len(clusters) > 1:
        names = ", ".join(clusters)
        raise NoSuchBackup(f"the archive has several clusters, choose by --cluster: {names}")
    if wanted.cluster not in {None, *clusters}:
        raise NoSuchBackup(
            f"there is no backup of the cluster {wanted.cluster}: there are {', '.join(clusters)}"
        )
    return wanted.cluster or clusters[0]


def choose(
    wanted: Wanted, backups: Sequence[Backup], histories: Mapping[int, Mapping[int, int]]
) -> Choice:
    """Return the newest chain that leads to the time; `backups` are those of one cluster.

    Raises:
        NoSuchBackup: there is no such backup, or its parent is missing.
        TimeNotCovered: all backups ended after the time.

    """
    named = [each for each in backups if wanted.backup in {None, each.id}]
    if not named:
        raise NoSuchBackup(f"there is no backup {wanted.backup}; `enroll backup list` shows them")
    newest = max({*histories, *(each.timeline for each in backups)})
    timeline = wanted.timeline or newest
    left_at = histories.get(timeline, {})
    on_timeline = [
        each
        for each in named
        if each.timeline == timeline or each.end_lsn <= left_at.get(each.timeline, -1)
    ]
    if not on_timeline:
        raise NoSuchBackup(f"no backup leads to the timeline {timeline}; --timeline names another")
    early = [each for each in on_timeline if wanted.to is None or each.ended_at <= wanted.to]
    if not early:
        first = min(each.ended_at for each in on_timeline)
        raise TimeNotCovered(
            f"{wanted.to:%Y-%m-%d %H:%M:%S%z} is before the end of the first backup, "
            f"{first:%Y-%m-%d %H:%M:%S%z}: nothing before it can be restored"
        )
    for each in sorted(early, key=lambda each: each.ended_at, reverse=True):
        if found := chain(each, backups):
            return Choice(found, timeline)
    raise NoSuchBackup(f"the parent {early[-1].parent} of the backup {early[-1].id} is missing")
