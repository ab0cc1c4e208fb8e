"""Keeps the database readable while the disk is full.

PostgreSQL ends when a checkpoint or its write-ahead log finds no space, and needs space to recover.
A reserve file is deleted when the disk is full. The database writes a checkpoint into the space
that this frees, then it is read-only until there is space again.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress

import asyncpg

from deploy.embedded.data_dir import DataDir
from deploy.embedded.errors import StartError
from infra.db.engine import direct_connection
from infra.error_messages import DISK_FULL
from infra.process.private_files import PRIVATE_FILE

MEGABYTE = 1024 * 1024
RESERVE_BYTES = 64 * MEGABYTE
# On a small disk the reserve is a tenth of it.
RESERVE_SHARE = 10
LOW_BYTES = 4 * MEGABYTE
CHECK_SECONDS = 0.25
DATABASE_SECONDS = 30.0
# The database is made read-only by a default, which this session overrides.
_WRITABLE = {"default_transaction_read_only": "off"}


class Disk:
    """The file system of DATA_DIR, and the database on it, if there is one."""

    def __init__(self, data_dir: DataDir, print_line: Callable[[str], None]) -> None:
        self._data_dir = data_dir
        self._print_line = print_line
        self._reserve = data_dir.root / "reserve"
        self._is_full = False
        # None: unknown, as after a crash of an earlier supervisor.
        self._is_read_only: bool | None = None
        status = os.statvfs(data_dir.root)
        self._bytes = min(RESERVE_BYTES, status.f_blocks * status.f_frsize // RESERVE_SHARE)

    def reserve(self) -> None:
        """Allocate the reserve, before anything starts.

        Raises:
            StartError: there is no space for it.

        """
        if not self._has_space() or not self._allocate():
            raise StartError(f"{self._message()}; nothing is started")

    async def watch(self, database_url: str | None) -> None:
        """Delete the reserve when the disk is full, and allocate it when there is space again."""
        while True:
            with suppress(OSError):  # the servers report a disk that fails
                self._check()
            if database_url and self._is_read_only is not self._is_full:
                # A database that is starting or out of connections is retried at the next check.
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await self._set_read_only(database_url)
            await asyncio.sleep(CHECK_SECONDS)

    async def _set_read_only(self, url: str) -> None:
        self._is_read_only = None
        async with direct_connection(url, DATABASE_SECONDS, _WRITABLE) as connection:
            if self._is_full:
                await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            else:
                await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await connection.execute("SELECT pg_reload_conf()")
            self._is_read_only = self._is_full
            if self._is_full:
                # Once is enough: without changes no further checkpoint is due.
                await connection.execute("CHECKPOINT")

    def _check(self) -> None:
        if self._is_full:
            if self._has_space() and self._allocate():
                self._is_full = False
                self._report("the disk has space again")
        elif self._free() < LOW_BYTES:
            self._is_full = True
            self._reserve.unlink(missing_ok=True)
            self._report(f"{self._message()}; the database is read-only until it has space again")

    def _free(self) -> int:
        status = os.statvfs(self._data_dir.root)
        return status.f_bavail * status.f_frsize

    def _has_space(self) -> bool:
        held = self._bytes if self._reserve.exists() else 0
        return self._free() + held >= self._bytes + 2 * LOW_BYTES

    def _allocate(self) -> bool:
        try:
            with self._reserve.open("ab") as file:
                os.fchmod(file.fileno(), PRIVATE_FILE)
                if sys.platform == "darwin":
                    file.truncate(0)
                    file.write(bytes(self._bytes))
                else:
                    os.posix_fallocate(file.fileno(), 0, self._bytes)
        except OSError:
            self._reserve.unlink(missing_ok=True)
            return False
        return True

    def _message(self) -> str:
        free = self._free() // MEGABYTE
        return f"{DISK_FULL}: {self._data_dir.root} has {free} MB left"

    def _report(self, sentence: str) -> None:
        self._print_line(sentence)
        with suppress(OSError), self._data_dir.log("disk").open("a", encoding="utf-8") as log:
            log.write(f"{sentence}\n")
