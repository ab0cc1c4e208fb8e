"""DATA_DIR and its folders: private to the service's user, independent of the umask."""

import os
import stat
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
# If the service runs as root, PostgreSQL runs as another user and traverses this folder.
TRAVERSABLE_FOLDER = 0o711


def data_folder(path: Path) -> Path:
    """Create DATA_DIR, or restrict an existing one, and return it: other users can't list it.

    A folder of another user keeps its mode, and so does a shared one (sticky, such as /tmp).
    """
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    restrict(path, TRAVERSABLE_FOLDER if os.geteuid() == 0 else PRIVATE_FOLDER)
    return path


def private_folder(path: Path) -> Path:
    """Create a folder in DATA_DIR, or restrict an existing one, and return it; DATA_DIR too."""
    data_folder(path.parent)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    restrict(path, PRIVATE_FOLDER)
    return path


def write_private_file(path: Path, text: str, owner: os.stat_result | None = None) -> None:
    """Write a file atomically that only its owner can read; root can give it to an `owner`."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)  # a power cut would leave an empty file of this name
        if owner and os.geteuid() == 0:
            os.chown(descriptor, owner.st_uid, owner.st_gid)
    draft.replace(path)


def restrict(path: Path, mode: int) -> None:
    """Set the mode of a file or folder if this process's user owns it and it isn't shared."""
    status = path.stat()
    if status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX:
        path.chmod(mode)
