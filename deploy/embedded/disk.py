"""A full disk costs changes, and nothing else: the database goes on reading.

PostgreSQL ends when it finds no room for a checkpoint or its write-ahead log, and can't recover
without room either. So a reserve is kept, and given up when the disk is full: in it the database
writes a last checkpoint, and then it takes reads only, which need no room, until there is some.
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
# A small disk gives a tenth of itself.
RESERVE_SHARE = 10
LOW_BYTES = 4 * MEGABYTE
LOOK_SECONDS = 0.25
DATABASE_SECONDS = 30.0
# What makes the database read-only is a default, which this session does not take.
_WRITES = {"default_transaction_read_only": "off"}


class Disk:
    """The file system of DATA_DIR, and the database on it, if there is one."""

    def __init__(self, home: DataDir, say: Callable[[str], None]) -> None:
        self._home = home
        self._say = say
        self._file = home.root / "reserve"
        self._is_full = False
        # What the database was told last; what an earlier supervisor told it is not known.
        self._is_read_only: bool | None = None
        status = os.statvfs(home.root)
        self._bytes = min(RESERVE_BYTES, status.f_blocks * status.f_frsize // RESERVE_SHARE)

    def reserve(self) -> None:
        """Take the reserve, before anything is started.

        Raises:
            StartError: there is no room for it.

        """
        if not self._has_room() or not self._take():
            raise StartError(f"{self._sentence()}; nothing is started")

    async def watch(self, database_url: str | None) -> None:
        """Give the reserve up when the disk is full, and take it again when it is not."""
        while True:
            with suppress(OSError):  # a disk that is gone: others have more to say about that
                self._look()
            if database_url and self._is_read_only is not self._is_full:
                # Where it starts just now, or has no connection left, it is told at the next look.
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await self._tell_database(database_url)
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell_database(self, url: str) -> None:
        self._is_read_only = None  # until it is done
        async with direct_connection(url, DATABASE_SECONDS, _WRITES) as connection:
            if self._is_full:
                await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            else:
                await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await connection.execute("SELECT pg_reload_conf()")
            self._is_read_only = self._is_full
            if self._is_full:
                # While there is room for it, and once: without changes no other one is due.
                await connection.execute("CHECKPOINT")

    def _look(self) -> None:
        if self._is_full:
            if self._has_room() and self._take():
                self._is_full = False
                self._tell("the disk has room again")
        elif self._free() < LOW_BYTES:
            self._is_full = True
            self._file.unlink(missing_ok=True)
            self._tell(f"{self._sentence()}; nothing is changed until it has room again")

    def _free(self) -> int:
        status = os.statvfs(self._home.root)
        return status.f_bavail * status.f_frsize

    def _has_room(self) -> bool:
        held = self._bytes if self._file.exists() else 0
        return self._free() + held >= self._bytes + 2 * LOW_BYTES

    def _take(self) -> bool:
        try:
            with self._file.open("ab") as file:
                os.fchmod(file.fileno(), PRIVATE_FILE)
                if sys.platform == "darwin":
                    file.truncate(0)
                    file.write(bytes(self._bytes))
                else:
                    os.posix_fallocate(file.fileno(), 0, self._bytes)
        except OSError:
            self._file.unlink(missing_ok=True)
            return False
        return True

    def _sentence(self) -> str:
        free = self._free() // MEGABYTE
        return f"{DISK_FULL}: {self._home.root} has {free} MB left"

    def _tell(self, sentence: str) -> None:
        self._say(sentence)
        with suppress(OSError), self._home.log("disk").open("a", encoding="utf-8") as log:
            log.write(f"{sentence}\n")
