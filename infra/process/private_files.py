"""DATA_DIR and its folders: only the service's own user reaches them, whatever the umask is."""

import os
import stat
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
# Root's PostgreSQL runs as another user, who passes through to a folder of its own.
PASSED_THROUGH = 0o711


def data_folder(path: Path) -> Path:
    """Make DATA_DIR, or close one that is there, and return it: others can't list it.

    A folder of another user keeps its mode, and so does a shared one (sticky, as /tmp is).
    """
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    close(path, PASSED_THROUGH if os.geteuid() == 0 else PRIVATE_FOLDER)
    return path


def private_folder(path: Path) -> Path:
    """Make a folder in DATA_DIR, or close one that is there, and return it; DATA_DIR as well."""
    data_folder(path.parent)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    close(path, PRIVATE_FOLDER)
    return path


def close(path: Path, mode: int) -> None:
    """Give a file or folder of this process's user a mode."""
    status = path.stat()
    if status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX:
        path.chmod(mode)
