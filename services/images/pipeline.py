"""Images of courses: inspected in the request, made and stored by a task.

Objects are under `courses/{course}/{upload}/{width}.webp`. Each upload has its own prefix, so the
removal of one upload's objects cannot remove another's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from infra.storage import Storage
from models import Upload
from services.images import headers, sandbox, variants

# Decoding and resizing is about half of the work, storing the variants the other.
DECODED_PERCENT = 50


@dataclass(frozen=True)
class StoredVariant:
    """A variant that is in the bucket and not yet in the database."""

    width: int
    height: int
    bytes: int
    key: str


async def inspect(data: bytes, max_pixels: int) -> headers.ImageInfo:
    """Read the image's header in a thread.

    Raises:
        UnsupportedImage: not one of the accepted formats.
        ImageTooLarge: it has more than `max_pixels`.

    """
    return await asyncio.to_thread(headers.inspect, data, max_pixels)


async def store_variants(
    storage: Storage,
    course_id: UUID,
    upload_id: UUID,
    max_pixels: int,
    report: Callable[[int], Awaitable[None]],
) -> list[StoredVariant]:
    """Make the variants of a staged image and store them in the bucket; idempotent.

    `report` receives the progress in percent.

    Returns:
        The variants; none if the upload is no longer staged.

    Raises:
        BrokenImage: the image can't be decoded.
        StorageError: the bucket refused an object.

    """
    upload = await Upload.get_or_none(id=upload_id)
    if upload is None:
        return []
    stored: list[StoredVariant] = []
    renditions = await sandbox.render(bytes(upload.data), max_pixels)
    for rendition in renditions:
        await report(DECODED_PERCENT + len(stored) * (100 - DECODED_PERCENT) // len(renditions))
        key = f"{prefix_of(course_id, upload_id)}{rendition.width}.{variants.FORMAT}"
        await storage.put(key, rendition.data, variants.CONTENT_TYPE)
        stored.append(StoredVariant(rendition.width, rendition.height, len(rendition.data), key))
    return stored


def prefix_of(course_id: UUID, upload_id: UUID) -> str:
    """Return what the keys of an upload's objects begin with."""
    return f"courses/{course_id}/{upload_id}/"
