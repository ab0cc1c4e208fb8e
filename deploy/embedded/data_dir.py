"""DATA_DIR: the folder of the servers' data, logs, secrets and ports."""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from deploy.embedded.errors import DamagedError
from deploy.embedded.ports import Ports
from infra.process.private_files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    private_folder,
    restrict,
    write_private_file,
)
from infra.settings import embedded_env_file

LOG_LIMIT_BYTES = 16 * 1024 * 1024
LOG_KEPT_BYTES = 4 * 1024 * 1024

FILES = ("secrets.json", "keys.json", "keys.lock")
# Folders whose data need the secrets.
LOCKED_FOLDERS = ("postgres", "seaweedfs")
SERVER_FOLDERS = ("seaweedfs", "valkey-cache", "valkey-broker")

SECRETS: dict[str, Callable[[], str]] = {
    "postgres_password": lambda: secrets.token_urlsafe(24),
    "cache_password": lambda: secrets.token_urlsafe(24),
    "broker_password": lambda: secrets.token_urlsafe(24),
    "flower_password": lambda: secrets.token_urlsafe(24),
    "alertmanager_password": lambda: secrets.token_urlsafe(24),
    "s3_access_key": lambda: secrets.token_hex(10).upper(),
    "s3_secret_key": lambda: secrets.token_urlsafe(30),
    "s3_encryption_key": lambda: secrets.token_hex(32),
}


class DataDir:
    """A data folder; the first use creates it, and its secrets and ports stay the same."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.logs = self.root / "logs"
        self.run = self.root / "run"
        for folder in (self.logs, self.run):
            private_folder(folder)
        # An earlier version may have left them readable to other users.
        for folder in filter(Path.is_dir, map(self.root.joinpath, SERVER_FOLDERS)):
            restrict(folder, PRIVATE_FOLDER)
        for file in filter(Path.is_file, map(self.root.joinpath, FILES)):
            restrict(file, PRIVATE_FILE)
        self.trim_logs()
        self.env_file = embedded_env_file(self.root)
        self.ports = Ports(self.run / "ports.json")
        self.secrets = self._load_secrets(self.root / "secrets.json")

    @staticmethod
    def _load_secrets(path: Path) -> dict[str, str]:
        has_data = any(path.with_name(name).exists() for name in LOCKED_FOLDERS)
        try:
            known = dict(json.loads(path.read_bytes())) if has_data or path.exists() else {}
        except (FileNotFoundError, ValueError, TypeError) as error:
            fault = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
            raise DamagedError(
                f"{path} is {fault}, and the data can't be opened without it; restore it from a "
                "backup, or set another DATA_DIR"
            ) from None
        missing = {name: make() for name, make in SECRETS.items() if name not in known}
        if missing:
            known |= missing
            write_private_file(path, json.dumps(known, indent=2))
        return known

    def log(self, name: str) -> Path:
        """Return the log of a part."""
        return self.logs / f"{name}.log"

    def trim_logs(self) -> None:
        """Cut logs over the limit to their last megabytes; their writers append."""
        for path in self.logs.glob("*.log"):
            if path.stat().st_size <= LOG_LIMIT_BYTES:
                continue
            with path.open("r+b") as file:
                file.seek(-LOG_KEPT_BYTES, os.SEEK_END)
                file.readline()
                kept = file.read()
                file.seek(0)
                file.write(kept)
                file.truncate()

    def write_env_file(self, environment: dict[str, str]) -> None:
        """Write the servers' URLs for commands in other shells."""
        quoted = {key: value.replace("'", "\\'") for key, value in environment.items()}
        lines = [f"{key}='{value}'\n" for key, value in quoted.items()]
        write_private_file(self.env_file, "".join(lines))

    def remove_env_file(self) -> None:
        """Remove the file of `write_env_file`, which a crash may have left."""
        self.env_file.unlink(missing_ok=True)
