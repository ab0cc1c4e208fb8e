"""WAL in the archive: what PostgreSQL's `archive_command` stores, and its order.

An archived file has the time of its last write in front: no transaction of the segment is later.
"""

import os
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.backup.archive import Archive, open_archive, wal_name
from infra.backup.errors import BackupError, BackupRefused
from infra.settings import Settings

FILE = re.compile(r"[0-9A-F]{24}(?:\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")
SEGMENT = re.compile(r"[0-9A-F]{24}")
HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_TIME = struct.Struct("<d")
# pg_control begins with the system identifier.
_IDENTIFIER = struct.Struct("=Q")


@dataclass(frozen=True)
class WalFile:
    """A file of WAL, and when the server last wrote to it."""

    data: bytes
    written_at: datetime


async def archive_file(settings: Settings, path: Path) -> bool:
    """Archive a file of `pg_wal`; return False if the archive has it already.

    PostgreSQL repeats a command whose success it could not note, so the same file is no error.

    Raises:
        BackupError: the archive has another content of this name, or doesn't take it.

    """
    if not FILE.fullmatch(path.name):
        raise BackupRefused(f"{path} is no file of PostgreSQL's WAL")
    try:
        cluster, file = _cluster_of(path), read(path)
    except OSError as error:
        raise BackupRefused(f"{error.filename} can't be read: {error.strerror}") from None
    return await put_file(open_archive(settings), cluster, path.name, file)


def _cluster_of(path: Path) -> str:
    # Not resolved: pg_wal may be a link to another disk.
    folder = Path(os.path.abspath(path)).parent.parent  # noqa: PTH100
    (identifier,) = _IDENTIFIER.unpack_from((folder / "global/pg_control").read_bytes())
    return str(identifier)


def read(path: Path) -> WalFile:
    """Return a file of a server's WAL."""
    return WalFile(path.read_bytes(), datetime.fromtimestamp(path.stat().st_mtime, UTC))


async def put_file(archive: Archive, cluster: str, name: str, file: WalFile) -> bool:
    """Archive a file; return False if the archive has it already.

    Raises:
        BackupError: the archive has another content of this name, or doesn't take it.

    """
    archived = await get_file(archive, cluster, name)
    if archived is None:
        content = _TIME.pack(file.written_at.timestamp()) + file.data
        await archive.put(wal_name(cluster, name), content)
        return True
    if archived.data != file.data:
        raise BackupError(
            f"{name} is archived with another content: two servers write the same timeline, or a "
            "restored copy archives into the archive of its origin"
        )
    return False


async def get_file(archive: Archive, cluster: str, name: str) -> WalFile | None:
    """Return an archived file, or None if there is none."""
    content = await archive.get(wal_name(cluster, name))
    return None if content is None else decode(content)


def decode(content: bytes) -> WalFile:
    """Return the file of an archived object."""
    (written,) = _TIME.unpack_from(content)
    return WalFile(content[_TIME.size :], datetime.fromtimestamp(written, UTC))


async def files(archive: Archive, cluster: str) -> list[str]:
    """Return the names of the archived files, sorted."""
    prefix = wal_name(cluster, "")
    return [name.removeprefix(prefix) for name in await archive.names(prefix)]


def following(segment: str, segment_bytes: int) -> str:
    """Return the name of the next segment of the timeline."""
    per_log = (1 << 32) // segment_bytes
    number = int(segment[8:16], 16) * per_log + int(segment[16:], 16) + 1
    log, low = divmod(number, per_log)
    return f"{segment[:8]}{log:08X}{low:08X}"
