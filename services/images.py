"""Images of courses: staged with the request, made and stored by a task.

Objects are under `courses/{course}/{upload}/{width}.webp`. An upload's prefix is its own, so
whoever cleans up after one can't take away what another has just stored.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from tortoise.expressions import RawSQL

from infra.storage import Storage
from models import Course, ImageVariant, Upload
from services import decoder, image_headers, imaging, tasks
from services.errors import UploadGone
from services.tasks import TaskName

# In the statement that reads the course: read on its own, an image could be of another moment.
SHOWN = RawSQL(
    """json_build_object(
        'task', (SELECT json_build_object('id', tasks.id, 'state', state, 'error', error)
                 FROM tasks WHERE tasks.id = courses.image_task_id),
        'variants', (SELECT coalesce(json_agg(json_build_object(
                'width', width, 'height', height, 'format', format, 'bytes', bytes, 'key', key
            ) ORDER BY width DESC), '[]') FROM image_variants WHERE course_id = courses.id))"""
)

# Decoding and resizing is about half of the work, storing the variants the other.
DECODED_PERCENT = 50


@dataclass(frozen=True)
class StoredVariant:
    """A variant that is in the bucket and not yet in the database."""

    width: int
    height: int
    bytes: int
    key: str


async def inspect(data: bytes, max_pixels: int) -> image_headers.ImageInfo:
    """Read the image's header, off the event loop.

    Raises:
        UnsupportedImage: not one of the formats that are taken.
        ImageTooLarge: it has more than `max_pixels`.

    """
    return await asyncio.to_thread(image_headers.inspect, data, max_pixels)


async def stage(course_id: UUID, data: bytes) -> None:
    """Keep the bytes and ask for the variants, in the caller's transaction."""
    upload = await Upload.create(course_id=course_id, data=data)
    task_id = await tasks.enqueue(
        TaskName.PROCESS_IMAGE, {"upload_id": str(upload.id), "course_id": str(course_id)}
    )
    await Course.filter(id=course_id).update(image_task_id=task_id, updated_at=RawSQL("now()"))


async def store_variants(
    storage: Storage,
    course_id: UUID,
    upload_id: UUID,
    max_pixels: int,
    report: Callable[[int], Awaitable[None]],
) -> list[StoredVariant]:
    """Make the variants of a staged image and put them into the bucket; repeatable.

    `report` is told how far the work is, in percent.

    Returns:
        The variants; none when the upload is no longer staged, so there is nothing to do.

    Raises:
        BrokenImage: the image can't be decoded.
        StorageError: the bucket did not take an object.

    """
    upload = await Upload.get_or_none(id=upload_id)
    if upload is None:
        return []
    stored: list[StoredVariant] = []
    renditions = await decoder.render(bytes(upload.data), max_pixels)
    for rendition in renditions:
        await report(DECODED_PERCENT + len(stored) * (100 - DECODED_PERCENT) // len(renditions))
        key = f"{_prefix(course_id, upload_id)}{rendition.width}.{imaging.FORMAT}"
        await storage.put(key, rendition.data, imaging.CONTENT_TYPE)
        stored.append(StoredVariant(rendition.width, rendition.height, len(rendition.data), key))
    return stored


async def publish(
    task_id: UUID, course_id: UUID, upload_id: UUID, variants: list[StoredVariant]
) -> None:
    """Show the variants in place of the older ones, in the transaction that finishes the task.

    An upload that was overtaken by a newer one, or whose course is gone, cleans up after itself.

    Raises:
        UploadGone: the course waits for this image, and its bytes have been pruned.

    """
    course = await Course.select_for_update().get_or_none(id=course_id)
    if course and course.image_task_id == task_id and not variants:
        raise UploadGone
    await Upload.filter(id=upload_id).delete()
    if course is None or course.image_task_id != task_id:
        prefix = _prefix(course_id, upload_id)
        if not await ImageVariant.exists(course_id=course_id, key__startswith=prefix):
            await _remove(prefix)
        return
    await _retire_variants(course_id)
    await ImageVariant.bulk_create(
        ImageVariant(
            course_id=course_id,
            width=variant.width,
            height=variant.height,
            format=imaging.FORMAT,
            bytes=variant.bytes,
            key=variant.key,
        )
        for variant in variants
    )
    await Course.filter(id=course_id).update(
        image_task_id=None, image_url=None, updated_at=RawSQL("now()")
    )


async def discard(course_id: UUID) -> None:
    """Drop a course's uploaded image and any that is being made, in the caller's transaction."""
    await _retire_variants(course_id)
    await Upload.filter(course_id=course_id).delete()
    await Course.filter(id=course_id).update(image_task_id=None)


async def remove_course(course_id: UUID) -> None:
    """Ask for the removal of all objects of a course that is being deleted."""
    await _remove(f"courses/{course_id}/")


async def _retire_variants(course_id: UUID) -> None:
    keys = await ImageVariant.filter(course_id=course_id).values_list("key", flat=True)
    for prefix in {str(key).rpartition("/")[0] + "/" for key in keys}:
        await _remove(prefix)
    await ImageVariant.filter(course_id=course_id).delete()


async def _remove(prefix: str) -> None:
    await tasks.enqueue(TaskName.REMOVE_IMAGES, {"prefix": prefix})


def _prefix(course_id: UUID, upload_id: UUID) -> str:
    return f"courses/{course_id}/{upload_id}/"
