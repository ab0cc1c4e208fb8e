"""The image store on one machine: a directory that a web server serves under a public address."""

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from infra.storage.errors import StorageError, StorageRefused, StorageUnavailable
from infra.storage.keys import check_key, check_prefix, public_url
from infra.storage.stored_object import StoredObject, guess_content_type

PROBE_SECONDS = 2
# The folder of partial files; no key is in it, because `check_key` refuses names with a dot.
INCOMING = ".incoming"
_PUT_ATTEMPTS = 5
_NO_SUCH_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})


class FileStorage:
    """Files below a directory; a reader sees a whole file or none."""

    def __init__(self, root: Path, base_url: str) -> None:
        self._base_url = base_url
        try:
            (root / INCOMING).mkdir(parents=True, exist_ok=True)
            self._root = root.resolve(strict=True)
        except OSError as error:
            raise StorageError(f"{root} can't be created or entered: {error.strerror}") from error

    async def put(self, key: str, data: bytes, content_type: str) -> None:  # noqa: ARG002  the web server derives the type from the name
        """Write a temporary file, then rename it."""
        check_key(key)
        await asyncio.to_thread(self._put, key, data)

    async def get(self, key: str) -> StoredObject | None:
        """Read the file."""
        check_key(key)
        data = await asyncio.to_thread(self._get, key)
        return None if data is None else StoredObject(data, guess_content_type(key))

    async def delete_prefix(self, prefix: str) -> int:
        """Delete the files, and the directories that become empty."""
        check_prefix(prefix)
        return await asyncio.to_thread(self._delete, prefix)

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys, sorted."""
        if prefix:
            check_prefix(prefix)
        return await asyncio.to_thread(self._list, prefix)

    async def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the sizes of the files."""
        keys = await self.list_keys(prefix)
        return await asyncio.to_thread(self._sizes, keys)

    def url(self, key: str) -> str:
        """Return the public URL of the file."""
        return public_url(self._base_url, key)

    async def is_connected(self) -> bool:
        """Return whether the directory is writable; the timeout is for a dead NFS mount."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(PROBE_SECONDS):
                return await asyncio.to_thread(
                    os.access, self._root / INCOMING, os.R_OK | os.W_OK | os.X_OK
                )
        return False

    def _put(self, key: str, data: bytes) -> None:
        target = self._root / key
        incoming = self._root / INCOMING / uuid4().hex
        with _translate_errors(key):
            if not target.resolve().is_relative_to(self._root):
                raise StorageRefused(f"{key!r} leaves the directory through a link")
            try:
                with incoming.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                _move(incoming, target)
            finally:
                incoming.unlink(missing_ok=True)
            _sync_directory(target.parent)

    def _get(self, key: str) -> bytes | None:
        with _translate_errors(key):
            try:
                path = (self._root / key).resolve()
                if not path.is_relative_to(self._root):
                    raise StorageRefused(f"{key!r} leaves the directory through a link")
                return path.read_bytes()
            except OSError as error:
                if error.errno not in _NO_SUCH_FILE:
                    raise
            self._require_root()
        return None

    def _require_root(self) -> None:
        if not (self._root / INCOMING).is_dir():
            raise StorageUnavailable(f"{self._root} is missing")

    def _delete(self, prefix: str) -> int:
        deleted = 0
        with _translate_errors(prefix):
            for key in self._list(prefix):
                path = self._root / key
                with suppress(FileNotFoundError):  # deleted by another process
                    path.unlink()
                    deleted += 1
                self._remove_empty(path.parent)
        return deleted

    def _remove_empty(self, directory: Path) -> None:
        with suppress(OSError):  # not empty, or gone already
            while directory != self._root:
                directory.rmdir()
                directory = directory.parent

    def _list(self, prefix: str) -> list[str]:
        top = self._root / prefix.rpartition("/")[0]
        with _translate_errors(prefix):
            self._require_root()
            paths = [
                Path(directory, name).relative_to(self._root).as_posix()
                for directory, _, names in os.walk(top)
                for name in names
            ]
        inside = (path for path in paths if not path.startswith(INCOMING))
        return sorted(path for path in inside if path.startswith(prefix))

    def _sizes(self, keys: list[str]) -> dict[str, int]:
        sizes = {}
        for key in keys:
            with _translate_errors(key), suppress(FileNotFoundError):  # deleted meanwhile
                sizes[key] = (self._root / key).stat().st_size
        return sizes


def _move(source: Path, target: Path) -> None:
    for attempts_left in reversed(range(_PUT_ATTEMPTS)):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        except FileNotFoundError:
            # A concurrent deletion removed the empty directory.
            if not attempts_left:
                raise
        else:
            return


def _sync_directory(directory: Path) -> None:
    with suppress(FileNotFoundError):  # the file and its directory were deleted
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _translate_errors(name: str) -> Iterator[None]:
    """Translate errors of the operating system."""
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise StorageRefused(f"{name}: {error.strerror}") from error
    except OSError as error:
        raise StorageUnavailable(f"{name}: {error.strerror}") from error
