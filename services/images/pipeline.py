"""Images of courses: inspected in the request, made and stored by a task.

Objects are under `courses/{course}/{upload}/{width}.{format}`. Each upload has its own prefix, so
the removal of one upload's objects cannot remove another's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from infra.observability import logs
from infra.observability.events import Event
from infra.storage import Storage
from models import Upload
from services.flags.evaluate import Flags
from services.flags.registry import AVIF_VARIANTS
from services.images import headers, sandbox
from services.images.headers import ImageTooCostly
from services.images.variants import AVIF, WEBP, Encoding, Rendition

# Decoding and resizing is about half of the work, storing the variants the other.
DECODED_PERCENT = 50

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class StoredVariant:
    """A variant that is in the bucket and not yet in the database."""

    width: int
    height: int
    format: str
    bytes: int
    key: str


async def inspect(data: bytes, max_pixels: int) -> None:
    """Check the image's header, in a thread.

    Raises:
        UnsupportedImage: not one of the accepted formats.
        ImageTooLarge: it has more than `max_pixels`.

    """
    await asyncio.to_thread(headers.opened, data, max_pixels)


async def store_variants(  # noqa: PLR0913  the image, and what its variants depend on
    storage: Storage,
    course_id: UUID,
    upload_id: UUID,
    max_pixels: int,
    report: Callable[[int], Awaitable[None]],
    *,
    flags: Flags,
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
    has_avif = flags.is_on(AVIF_VARIANTS, course_id)
    made = await _made(bytes(upload.data), max_pixels, has_avif=has_avif)
    for encoding, rendition in made:
        await report(DECODED_PERCENT + len(stored) * (100 - DECODED_PERCENT) // len(made))
        key = f"{prefix_of(course_id, upload_id)}{rendition.width}.{encoding.format}"
        await storage.put(key, rendition.data, encoding.content_type)
        size = rendition.width, rendition.height
        stored.append(StoredVariant(*size, encoding.format, len(rendition.data), key))
    return stored


async def _made(
    data: bytes, max_pixels: int, *, has_avif: bool
) -> list[tuple[Encoding, Rendition]]:
    """Make the variants in WebP, and in AVIF if that is asked for and not too costly."""
    made = [(WEBP, each) for each in await sandbox.render(data, max_pixels)]
    if has_avif:
        try:
            made += [(AVIF, each) for each in await sandbox.render(data, max_pixels, AVIF)]
        except ImageTooCostly:
            log.info(Event.AVIF_TOO_COSTLY)
    return made


def prefix_of(course_id: UUID, upload_id: UUID) -> str:
    """Return what the keys of an upload's objects begin with."""
    return f"courses/{course_id}/{upload_id}/"
