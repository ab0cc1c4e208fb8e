"""An object of the image store."""

from dataclasses import dataclass
from mimetypes import guess_type

DEFAULT_TYPE = "application/octet-stream"
# Python 3.11 doesn't know them.
_TYPES = {".webp": "image/webp", ".avif": "image/avif"}


@dataclass(frozen=True)
class StoredObject:
    """An object's bytes and type."""

    data: bytes
    content_type: str


def guess_content_type(key: str) -> str:
    """Return the type by the name, for stores that don't store types."""
    dot = key.rfind(".")
    return _TYPES.get(key[dot:]) or guess_type(key)[0] or DEFAULT_TYPE
