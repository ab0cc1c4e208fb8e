"""An object of a store."""

from dataclasses import dataclass
from mimetypes import guess_type

ANY_TYPE = "application/octet-stream"
# Python 3.11 doesn't know WebP.
_TYPES = {".webp": "image/webp"}


@dataclass(frozen=True)
class StoredObject:
    """An object's bytes and type."""

    data: bytes
    content_type: str


def type_of(key: str) -> str:
    """Return the type that a name says, for stores that keep none."""
    dot = key.rfind(".")
    return _TYPES.get(key[dot:]) or guess_type(key)[0] or ANY_TYPE
