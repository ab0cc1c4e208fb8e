"""One supervisor for a data folder: the kernel releases the lock when its process ends."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from deploy.embedded.errors import InUseError
from infra.process.private_files import private_folder


@contextmanager
def hold(data_dir: Path, port: int | None = None) -> Iterator[None]:
    """Hold the lock of the data folder during the block.

    Raises:
        InUseError: another process holds it; the message names the process.

    """
    path = private_folder(data_dir / "run") / "lock"
    # Never removed: a lock on a replaced file would exclude no other process.
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(_describe(path, data_dir)) from None
        started = datetime.now(UTC).isoformat(timespec="seconds")
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "started": started, "port": port}))
        file.flush()
        yield


def _describe(path: Path, data_dir: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        holder = {}
    where = f" on port {holder['port']}" if holder.get("port") else ""
    return (
        f"DATA_DIR {data_dir} is in use by process {holder.get('pid', '?')}, started "
        f"{holder.get('started', '?')}{where}; stop it, or set another DATA_DIR, PORT and "
        "FLOWER_PORT"
    )
