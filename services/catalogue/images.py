"""The rows of a course's image: its staged bytes, its task and its variants."""

from uuid import UUID

from tortoise.expressions import RawSQL

from infra.queue.enqueue import enqueue
from models import Course, ImageVariant, Upload
from services.catalogue.change import Change
from services.errors import UploadGone
from services.images.pipeline import StoredVariant, prefix_of
from services.images.variants import WEBP
from services.task_names import TaskName


async def widest_key(course_id: UUID) -> str | None:
    """Return the key that `image_url` has, of the widest WebP; None: there are no variants."""
    shown = ImageVariant.filter(course_id=course_id, format=WEBP.format)
    widest = await shown.order_by("-width").first()
    return widest.key if widest else None


async def are_shown(keys: list[str]) -> bool:
    """Return whether any course shows an object with one of these keys."""
    return await ImageVariant.exists(key__in=keys)


async def stage(change: Change, data: bytes) -> None:
    """Store the bytes and enqueue the task that makes the variants."""
    upload = await Upload.create(course_id=change.course_id, data=data)
    task_id = await enqueue(
        TaskName.PROCESS_IMAGE, {"upload_id": upload.id, "course_id": change.course_id}
    )
    await Course.filter(id=change.course_id).update(
        image_task_id=task_id, updated_at=RawSQL("now()")
    )


async def publish(
    change: Change, task_id: UUID, upload_id: UUID, variants: list[StoredVariant]
) -> None:
    """Show the variants in place of the older ones, in the transaction that finishes the task.

    If a newer upload has replaced this one, or the course is deleted, the objects are removed.

    Raises:
        UploadGone: the course waits for this image, and its staged bytes have been pruned.

    """
    course = await Course.select_for_update().get_or_none(id=change.course_id)
    if course and course.image_task_id == task_id and not variants:
        raise UploadGone
    await Upload.filter(id=upload_id).delete()
    if course is None or course.image_task_id != task_id:
        prefix = prefix_of(change.course_id, upload_id)
        if not await ImageVariant.exists(course_id=change.course_id, key__startswith=prefix):
            await _remove(prefix)
        return
    await _retire_variants(change)
    await ImageVariant.bulk_create(
        ImageVariant(course_id=change.course_id, **vars(variant)) for variant in variants
    )
    await Course.filter(id=change.course_id).update(
        image_task_id=None, image_url=None, updated_at=RawSQL("now()")
    )


async def discard(change: Change) -> None:
    """Drop the uploaded image and any that is in processing."""
    await _retire_variants(change)
    await Upload.filter(course_id=change.course_id).delete()
    await Course.filter(id=change.course_id).update(image_task_id=None)


async def remove_objects(change: Change) -> None:
    """Enqueue the removal of all objects of a course that is being deleted."""
    await _remove(f"courses/{change.course_id}/")


async def _retire_variants(change: Change) -> None:
    variants = ImageVariant.filter(course_id=change.course_id)
    keys = await variants.values_list("key", flat=True)
    for prefix in {str(key).rpartition("/")[0] + "/" for key in keys}:
        await _remove(prefix)
    await variants.delete()


async def _remove(prefix: str) -> None:
    await enqueue(TaskName.REMOVE_IMAGES, {"prefix": prefix})
