"""The archive: the objects of backups and WAL in the store, all of them sealed.

A backup exists when its record does, which is written last and deleted first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from infra.backup.errors import BackupError, BackupRefused
from infra.backup.record import Backup
from infra.backup.sealing import Keys
from infra.settings import Settings
from infra.storage import (
    BACKUPS_PREFIX,
    Storage,
    StorageError,
    StorageUnavailable,
    open_backup_storage,
)

PART_BYTES = 8 * 1024 * 1024
# Parts that are compressed or sent at the same time: they bound the memory.
WINDOW = 4
_TYPE = "application/octet-stream"
# Bridges a restart of the store.
_RETRY_SECONDS = (0.1, 0.5, 1, 2, 4, 8, 16)

T = TypeVar("T")


class Archive:
    """The backups and WAL of all clusters below one store."""

    def __init__(self, storage: Storage, keys: Keys) -> None:
        self._storage = storage
        self._keys = keys

    async def put(self, name: str, data: bytes) -> None:
        """Seal and store an object.

        Raises:
            BackupError: the store doesn't take it.

        """
        key = BACKUPS_PREFIX + name
        sealed = await asyncio.to_thread(self._keys.seal, name, data)
        await _retried(lambda: self._storage.put(key, sealed, _TYPE))

    async def get(self, name: str) -> bytes | None:
        """Return an object, or None if there is none.

        Raises:
            WrongKey: it can't be decrypted.
            BackupError: the store doesn't give it.

        """
        found = await _retried(lambda: self._storage.get(BACKUPS_PREFIX + name))
        if found is None:
            return None
        return await asyncio.to_thread(self._keys.open, name, found.data)

    async def require(self, name: str) -> bytes:
        """Return an object that a record promises.

        Raises:
            BackupError: it is missing.

        """
        if (data := await self.get(name)) is None:
            raise BackupError(f"{BACKUPS_PREFIX}{name} is missing: the backup is damaged")
        return data

    async def names(self, prefix: str) -> list[str]:
        """Return the names that start with a prefix, sorted."""
        keys = await _retried(lambda: self._storage.list_keys(BACKUPS_PREFIX + prefix))
        return [key.removeprefix(BACKUPS_PREFIX) for key in keys]

    async def delete(self, prefix: str) -> int:
        """Delete the objects whose names start with a prefix; return their number."""
        return await _retried(lambda: self._storage.delete_prefix(BACKUPS_PREFIX + prefix))

    async def backups(self, cluster: str | None = None) -> list[Backup]:
        """Return the complete backups of one cluster or of all, the oldest first."""
        names = await self.names(f"records/{cluster}/" if cluster else "records/")
        found = [await self.get(name) for name in names]
        decoded = [Backup.decode(each) for each in found if each is not None]
        return sorted(decoded, key=lambda each: each.ended_at)

    async def put_backup(self, backup: Backup) -> None:
        """Record that a backup is complete."""
        await self.put(record_name(backup.cluster, backup.id), backup.encode())

    async def put_parts(self, folder: str, chunks: AsyncIterator[bytes]) -> int:
        """Store the parts of a backup; return their number."""
        slots = asyncio.Semaphore(WINDOW)
        number = 0

        async def put(name: str, data: bytes) -> None:
            try:
                await self.put(name, data)
            finally:
                slots.release()

        try:
            async with asyncio.TaskGroup() as group:
                async for chunk in chunks:
                    await slots.acquire()
                    group.create_task(put(part_name(folder, number), chunk))
                    number += 1
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return number

    async def parts(self, folder: str, number: int) -> AsyncIterator[bytes]:
        """Return the parts of a backup in order."""
        tasks: list[asyncio.Task[bytes]] = []
        try:
            for at in range(number + WINDOW):
                if at < number:
                    tasks.append(asyncio.create_task(self.require(part_name(folder, at))))
                if at >= WINDOW:
                    yield await tasks.pop(0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def open_archive(settings: Settings) -> Archive:
    """Open the archive that the settings name.

    Raises:
        BackupRefused: the key or the store is missing or can't be used.

    """
    if settings.backup_key_file is None:
        raise BackupRefused("BACKUP_KEY_FILE is missing; `openssl rand -base64 32` makes a key")
    keys = Keys.load(Path(settings.backup_key_file))
    try:
        return Archive(open_backup_storage(settings), keys)
    except StorageError as error:
        raise BackupRefused(str(error)) from error


def record_name(cluster: str, backup_id: str) -> str:
    """Return the name of a backup's record."""
    return f"records/{cluster}/{backup_id}"


def data_folder(cluster: str, backup_id: str) -> str:
    """Return the prefix of a backup's parts and manifest."""
    return f"data/{cluster}/{backup_id}/"


def manifest_name(cluster: str, backup_id: str) -> str:
    """Return the name of a backup's manifest, which the next incremental one needs."""
    return f"{data_folder(cluster, backup_id)}manifest"


def part_name(folder: str, number: int) -> str:
    """Return the name of a part."""
    return f"{folder}part-{number:08}"


def wal_name(cluster: str, file: str) -> str:
    """Return the name of a WAL segment or of a timeline's history."""
    return f"wal/{cluster}/{file}"


async def _retried(call: Callable[[], Awaitable[T]]) -> T:
    for delay in (*_RETRY_SECONDS, None):
        try:
            return await call()
        except StorageUnavailable as error:
            if delay is None:
                raise BackupError(str(error)) from error
            await asyncio.sleep(delay)
        except StorageError as error:
            raise BackupError(str(error)) from error
    raise AssertionError
