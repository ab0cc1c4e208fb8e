"""The image store, by the scheme of STORAGE_URL: a bucket, a directory, memory, or a package's."""

from pathlib import Path
from typing import Protocol, cast
from urllib.parse import unquote, urlsplit

from infra import plugins
from infra.settings import Settings
from infra.storage.errors import StorageError, StorageRefused, StorageUnavailable
from infra.storage.measured import MeasuredStorage
from infra.storage.stored_object import StoredObject

__all__ = [
    "BACKUPS_PREFIX",
    "Storage",
    "StorageError",
    "StorageRefused",
    "StorageUnavailable",
    "StoredObject",
    "open_backup_storage",
    "open_storage",
]

# The path of objects, served by this service or by a proxy in front of it.
MEDIA_PATH = "/media"
# Backups are below it, if no store is set for them: readers of images get none of these objects.
BACKUPS_PREFIX = "backups/"
_WILDCARD_HOSTS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared, not bound


class Storage(Protocol):
    """Objects under keys. All methods but `url` and `is_connected` may raise a StorageError."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object, replacing an older one; clients may cache it for a year."""

    async def get(self, key: str) -> StoredObject | None:
        """Return an object within seconds, or None if there is none."""
        ...

    async def delete_prefix(self, prefix: str) -> int:
        """Delete all objects whose key starts with the prefix; return their number."""
        ...

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys that start with the prefix (all for an empty one), sorted."""
        ...

    async def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the sizes in bytes of the objects whose key starts with the prefix, by key."""
        ...

    def url(self, key: str) -> str:
        """Return the public address of an object."""
        ...

    async def is_connected(self) -> bool:
        """Return within 2 s whether the store accepts objects."""
        ...


def open_storage(settings: Settings) -> Storage:
    """Open the store that the settings name; its calls are counted.

    Raises:
        StorageError: they name none, or one that can't be used.

    """
    return MeasuredStorage(_store_of(settings, settings.storage, "STORAGE_URL"))


def open_backup_storage(settings: Settings) -> Storage:
    """Open the store of the backups: BACKUP_URL, or that of the images.

    Raises:
        StorageError: they name none, or one that can't be used.

    """
    if settings.backup_url is None:
        return open_storage(settings)
    return MeasuredStorage(_store_of(settings, settings.backup_url, "BACKUP_URL"))


def _store_of(settings: Settings, url: str | None, setting: str) -> Storage:
    if url is None:
        raise StorageError("STORAGE_URL or S3_BUCKET_NAME is missing")
    parts = urlsplit(url)
    public = settings.storage_public_url
    # Imported on use: boto3 is slow to import and takes much memory.
    match parts.scheme:
        case "s3" if parts.netloc:
            from infra.storage.s3 import S3Storage  # noqa: PLC0415  only the store in use is imported

            return S3Storage(settings, parts.netloc, unquote(parts.path).strip("/"))
        case "file" if parts.path.strip("/") and parts.netloc in {"", "localhost"}:
            from infra.storage.file import FileStorage  # noqa: PLC0415  only the store in use is imported

            base = public or f"{_service_url(settings)}{MEDIA_PATH}"
            return FileStorage(Path(unquote(parts.path)), base)
        case "memory":
            from infra.storage.memory import MemoryStorage  # noqa: PLC0415  only the store in use is imported

            return MemoryStorage(public or MEDIA_PATH)
        case scheme if point := plugins.installed(plugins.STORAGE).get(scheme):
            base = public or f"{_service_url(settings)}{MEDIA_PATH}"
            try:
                return cast("Storage", plugins.load(point)(url, base))
            except plugins.PluginError as error:
                raise StorageError(f"{setting}: {error}") from error
    raise StorageError(
        f"{setting} must be s3://bucket[/prefix], file:///directory or memory:// (it is {url!r})"
    )


def _service_url(settings: Settings) -> str:
    """Return the URL of this service for a browser on this machine."""
    host = "localhost" if settings.host in _WILDCARD_HOSTS else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
