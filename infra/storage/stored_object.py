"""What a store keeps of an object."""

from dataclasses import dataclass
from mimetypes import guess_type

from infra.storage.keys import CACHE_CONTROL

ANY_TYPE = "application/octet-stream"
# Python 3.11 doesn't know WebP.
_TYPES = {".webp": "image/webp"}


@dataclass(frozen=True)
class StoredObject:
    """An object's bytes, and how it is shown."""

    data: bytes
    content_type: str
    cache_control: str = CACHE_CONTROL


def type_of(key: str) -> str:
    """Return the type that a name says, for stores that keep none."""
    dot = key.rfind(".")
    return _TYPES.get(key[dot:]) or guess_type(key)[0] or ANY_TYPE
