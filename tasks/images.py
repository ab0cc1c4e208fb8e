"""Tasks that make and remove the images of courses."""

from uuid import UUID

from infra.observability.events import Event
from services.catalogue import images as course_images
from services.catalogue.change import change
from services.errors import TooLarge, UnsupportedMedia, UploadGone
from services.images import pipeline
from services.task_names import TaskName
from tasks.registry import TaskContext, task

# With their backoff (infra/queue/leases.py) so many attempts outlast an outage of an hour.
ATTEMPTS_OF_AN_HOUR = 21


@task(
    TaskName.PROCESS_IMAGE,
    queue="images",
    max_attempts=ATTEMPTS_OF_AN_HOUR,
    timeout=90,
    permanent=(TooLarge, UnsupportedMedia, UploadGone),
)
async def process_image(context: TaskContext, course_id: UUID, upload_id: UUID) -> None:
    """Make the variants of a staged image, store them, and show them."""
    variants = await pipeline.store_variants(
        context.storage,
        course_id,
        upload_id,
        context.settings.max_image_pixels,
        context.progress,
        flags=await context.flags(),
    )
    async with context.finishing(), change(context.cache, course_id) as finished:
        await course_images.publish(finished, context.id, upload_id, variants)
    context.log.info(Event.IMAGE_PROCESSED, course_id=str(course_id), variants=len(variants))


@task(TaskName.REMOVE_IMAGES, queue="images", max_attempts=ATTEMPTS_OF_AN_HOUR, timeout=300)
async def remove_images(context: TaskContext, prefix: str) -> None:
    """Delete the objects below a prefix."""
    removed = await context.storage.delete_prefix(prefix)
    context.log.info(Event.IMAGES_REMOVED, prefix=prefix, objects=removed)
