"""Runs a restored folder's server until it has replayed WAL to a time and is promoted."""

import asyncio
import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from infra.backup.errors import BackupError, TimeNotCovered
from infra.backup.feed import Feed
from infra.backup.programs import Owner, Programs

POLL_SECONDS = 0.05
STOP_SECONDS = 600
_LAST_COMMIT = re.compile(r"last completed transaction was at log time (.+)$", re.MULTILINE)
_NOT_REACHED = "recovery ended before configured recovery target was reached"
_FATAL = re.compile(r"(?:FATAL|PANIC):\s+(.+)$", re.MULTILINE)
# The line of postmaster.pid that has the server's state.
_STATE_LINE = 7


class NotReached(TimeNotCovered):
    """The archive's WAL ends before the time"""


@dataclass(frozen=True)
class Replay:
    """One recovery of a data folder; `work` is a folder for sockets, files of WAL and the log."""

    programs: Programs
    owner: Owner
    data: Path
    work: Path
    timeline: int

    async def run(self, feed: Feed, to: datetime | None) -> str | None:
        """Replay, promote and stop; return the time of the last transaction that was replayed.

        Raises:
            NotReached: WAL ends before the time.
            BackupError: the server failed, or the archive.

        """
        (self.data / "recovery.signal").touch()
        self.owner.take(self.data / "recovery.signal")
        log = self.work / "postgres.log"
        with log.open("wb") as output:
            server = await self._start(feed, to, output)
            feeding = asyncio.create_task(feed.run())
            try:
                await self._until_promoted(server, feeding)
                await self._stop(server, signal.SIGINT)
            finally:
                await self._stop(server, signal.SIGQUIT)
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        text = log.read_text("utf-8", errors="replace")
        if (self.data / "recovery.signal").exists() or server.returncode:
            raise _failure(text)
        last = _LAST_COMMIT.findall(text)
        return last[-1] if last else None

    async def _start(
        self, feed: Feed, to: datetime | None, output: IO[bytes]
    ) -> asyncio.subprocess.Process:
        # Its own files: those of the folder may be elsewhere, name other ones, or archive.
        for name in ("postgresql.conf", "pg_ident.conf"):
            (self.work / name).touch()
        # PostgreSQL refuses a file without a line.
        (self.work / "pg_hba.conf").write_text("local all all reject\n")
        settings = {
            "config_file": self.work / "postgresql.conf",
            "hba_file": self.work / "pg_hba.conf",
            "ident_file": self.work / "pg_ident.conf",
            "listen_addresses": "",
            "unix_socket_directories": self.work,
            "external_pid_file": "",
            "archive_mode": "off",
            "summarize_wal": "off",
            "shared_preload_libraries": "",
            "ssl": "off",
            "logging_collector": "off",
            "log_destination": "stderr",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Without sessions no setting of the origin's server has to be matched.
            "hot_standby": "off",
            "primary_conninfo": "",
            "shared_buffers": "256MB",
            "max_prepared_transactions": 1000,
            "restore_command": feed.restore_command,
            "recovery_target_timeline": self.timeline,
            "recovery_target_action": "promote",
            "recovery_target_time": to.isoformat(sep=" ") if to else "",
        }
        if self.programs.major < 17:  # noqa: PLR2004  the first with this setting
            del settings["summarize_wal"]
        options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
        self.owner.take(self.work)
        return await asyncio.create_subprocess_exec(
            *(str(self.programs.folder / "postgres"), "-D", str(self.data), *options),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            cwd=self.data,
            **self.owner.arguments,
        )

    async def _until_promoted(
        self, server: asyncio.subprocess.Process, feeding: asyncio.Task[None]
    ) -> None:
        while server.returncode is None and not self._is_ready():
            if feeding.done():
                feeding.result()
                raise BackupError("the WAL's feed has ended")
            await asyncio.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        """Return whether the server takes sessions: it does when it is promoted."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return lines[_STATE_LINE:] != [] and lines[_STATE_LINE].strip() == "ready"

    async def _stop(self, server: asyncio.subprocess.Process, signum: signal.Signals) -> None:
        if server.returncode is not None:
            return
        with suppress(ProcessLookupError):
            server.send_signal(signum)
        async with asyncio.timeout(STOP_SECONDS):
            await server.wait()


def _failure(log: str) -> BackupError:
    if _NOT_REACHED in log:
        return NotReached()
    reasons = _FATAL.findall(log) or log.splitlines()[-5:]
    return BackupError("\n".join(["the recovery failed:", *reasons]))
