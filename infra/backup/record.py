"""What the archive records of a base backup."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import orjson


class Kind(StrEnum):
    """Whether a backup has all blocks, or those that changed since its parent."""

    FULL = "full"
    INCREMENTAL = "incremental"


@dataclass(frozen=True)
class Backup:
    """A complete base backup; times are the server's, LSNs are bytes of WAL.

    `cluster` is the server's system identifier, `parent` the id of the backup that an incremental
    one builds on, `size` that of its files in bytes, `parts` the number of its objects.
    """

    id: str
    kind: Kind
    parent: str | None
    cluster: str
    major: int
    timeline: int
    start_lsn: int
    end_lsn: int
    segment_bytes: int
    started_at: datetime
    ended_at: datetime
    size: int
    parts: int

    def encode(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """Return the backup that `encode` wrote; fields of later versions are ignored."""
        found: dict[str, Any] = orjson.loads(text)
        known = {name: found[name] for name in cls.__dataclass_fields__}
        known["kind"] = Kind(known["kind"])
        for name in ("started_at", "ended_at"):
            known[name] = datetime.fromisoformat(known[name])
        return cls(**known)


def parse_lsn(text: str) -> int:
    """Return the bytes of WAL that a text such as 0/3000028 means."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def segment_name(timeline: int, lsn: int, segment_bytes: int) -> str:
    """Return the name of the WAL segment that has a position."""
    per_log = (1 << 32) // segment_bytes
    log, segment = divmod(lsn // segment_bytes, per_log)
    return f"{timeline:08X}{log:08X}{segment:08X}"


def chain(backup: Backup, backups: Iterable[Backup]) -> list[Backup] | None:
    """Return the full backup and the incremental ones up to this one; None: one is missing."""
    by_id = {each.id: each for each in backups}
    found = [backup]
    while found[0].parent is not None:
        parent = by_id.get(found[0].parent)
        if parent is None:
            return None
        found.insert(0, parent)
    return found
