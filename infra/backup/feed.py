"""Gives a recovering server the WAL that its `restore_command` asks for.

The command is a shell's loop over a folder, so that the server's user needs neither the archive's
key nor this program: it leaves a wish, this process fetches the file and the segments after it.
"""

import asyncio
import shlex
from collections import OrderedDict
from pathlib import Path

from infra.backup import wal
from infra.backup.archive import Archive
from infra.backup.wal import WalFile

POLL_SECONDS = 0.02
# Segments that are fetched before they are asked for; memory and time of a replay.
AHEAD = 4
# How long the command waits; an archive that is away for longer ends the recovery.
WAIT_SECONDS = 600
_WISH, _ABSENT = ".wish", ".absent"


class Feed:
    """Serves one cluster's files in a folder that the server's user can write to."""

    def __init__(self, archive: Archive, cluster: str, segment_bytes: int, folder: Path) -> None:
        self._archive = archive
        self._cluster = cluster
        self._segment_bytes = segment_bytes
        self._folder = folder
        self._fetches: OrderedDict[str, asyncio.Task[WalFile | None]] = OrderedDict()

    @property
    def restore_command(self) -> str:
        """PostgreSQL's setting: an exit code above 125 ends the recovery, 1 is the end of WAL."""
        folder = shlex.quote(str(self._folder)).replace("%", "%%")
        file = f"{folder}/%f"
        tries = int(WAIT_SECONDS / 0.05)
        return (
            f"rm -f {file} {file}{_ABSENT}; : > {file}{_WISH} || exit 255; i=0; "
            f"while [ -e {file}{_WISH} ]; do i=$((i+1)); [ $i -lt {tries} ] || exit 255; "
            f'sleep 0.05; done; [ ! -e {file}{_ABSENT} ] || exit 1; cp {file} "%p" || exit 255; '
            f"rm -f {file}"
        )

    async def run(self) -> None:
        """Serve until it is cancelled.

        Raises:
            BackupError: the archive doesn't give a file.

        """
        try:
            while True:
                for wish in await asyncio.to_thread(lambda: [*self._folder.glob(f"*{_WISH}")]):
                    await self._serve(wish)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for task in self._fetches.values():
                task.cancel()
            await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    async def _serve(self, wish: Path) -> None:
        name = wish.name.removesuffix(_WISH)
        self._forget_others(name)
        found = await self._fetch(name)
        await asyncio.to_thread(_grant, wish, name, found)
        if found is not None:
            self._fetch_ahead(name)

    def _fetch(self, name: str) -> asyncio.Task[WalFile | None]:
        if name not in self._fetches:
            work = wal.get_file(self._archive, self._cluster, name)
            self._fetches[name] = asyncio.create_task(work)
        return self._fetches[name]

    def _fetch_ahead(self, name: str) -> None:
        if not wal.SEGMENT.fullmatch(name):
            return
        for _ in range(AHEAD):
            name = wal.following(name, self._segment_bytes)
            self._fetch(name)

    def _forget_others(self, name: str) -> None:
        """Drop the files before this one; all of them if it does not follow."""
        while self._fetches and next(iter(self._fetches)) != name:
            _, task = self._fetches.popitem(last=False)
            task.cancel()


def _grant(wish: Path, name: str, found: WalFile | None) -> None:
    if found is None:
        wish.with_name(f"{name}{_ABSENT}").touch()
    else:
        wish.with_name(name).write_bytes(found.data)
    # Last: the command waits until it is gone.
    wish.unlink()
