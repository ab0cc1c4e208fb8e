"""The writes of courses."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from tortoise import BaseDBAsyncClient
from tortoise.expressions import RawSQL
from uuid_utils.compat import uuid7

from infra.cache import Cache
from models import Course, Difficulty
from services.audit.trail import Action
from services.catalogue import images
from services.catalogue.change import Change, Condition, change
from services.catalogue.queries import Snapshot
from services.catalogue.render import UrlOf
from services.errors import CourseNotFound


@dataclass(frozen=True)
class CourseFields:
    """The fields of a course that an admin writes."""

    title: str
    description: str
    difficulty: Difficulty
    image_url: str | None = None


@dataclass(frozen=True)
class CourseChanges:
    """The new values of fields, by name; `removes_image` removes an uploaded image."""

    fields: Mapping[str, Any]
    removes_image: bool = False


async def is_empty() -> bool:
    """Return whether there are no courses."""
    return not await Course.exists()


async def require(course_id: UUID, source: BaseDBAsyncClient | None = None) -> None:
    """Raise CourseNotFound unless a course has this id."""
    if not await Course.filter(id=course_id).using_db(source).exists():
        raise CourseNotFound


async def create(cache: Cache, fields: CourseFields, image: bytes | None = None) -> Snapshot:
    """Create a course; an image's bytes and the task that makes its variants commit with it."""
    async with change(cache, uuid7(), Action.CREATE_COURSE) as creation:
        await _insert(creation, fields)
        if image is not None:
            await images.stage(creation, image)
        return await creation.snapshot()


async def update(
    cache: Cache,
    course_id: UUID,
    changes: CourseChanges,
    url_of: UrlOf,
    condition: Condition | None = None,
) -> Snapshot:
    """Change the fields that `changes` has.

    An uploaded image stays unless `removes_image` is set, or `image_url` is set to another address
    than the image's own. `url_of` returns the image's address by its key.

    Raises:
        CourseNotFound: no course has this id.
        CourseChanged: the condition is false.

    """
    async with change(cache, course_id, Action.UPDATE_COURSE) as updating:
        await updating.lock(condition)
        widest = await images.widest_key(course_id)
        fields = dict(changes.fields)
        if widest and fields.get("image_url") == url_of(widest):
            # The variants already have this address.
            fields["image_url"] = None
        await _update(updating, **fields)
        if fields.get("image_url") or (changes.removes_image and widest):
            await images.discard(updating)
        return await updating.snapshot()


async def replace_image(
    cache: Cache, course_id: UUID, image: bytes, condition: Condition | None = None
) -> Snapshot:
    """Stage a new image; the current image stays until the new one is ready.

    Raises:
        CourseNotFound: no course has this id.
        CourseChanged: the condition is false.

    """
    async with change(cache, course_id, Action.REPLACE_IMAGE) as replacing:
        await replacing.lock(condition)
        await images.stage(replacing, image)
        return await replacing.snapshot()


async def remove_image(cache: Cache, course_id: UUID, condition: Condition | None = None) -> None:
    """Remove a course's image: uploaded, in processing, failed, or at a given address.

    Raises:
        CourseNotFound: no course has this id.
        CourseChanged: the condition is false.

    """
    async with change(cache, course_id, Action.REMOVE_IMAGE) as removing:
        await removing.lock(condition)
        await images.discard(removing)
        await _update(removing, image_url=None)


async def delete(cache: Cache, course_id: UUID, condition: Condition | None = None) -> None:
    """Delete a course and its enrollments; a task removes its images from the bucket.

    Raises:
        CourseNotFound: no course has this id.
        CourseChanged: the condition is false.

    """
    async with change(cache, course_id, Action.DELETE_COURSE) as deletion:
        await deletion.lock(condition)
        await _delete(deletion)
        await images.remove_objects(deletion)


async def _insert(change: Change, fields: CourseFields) -> None:
    await Course.create(id=change.course_id, **asdict(fields))


async def _update(change: Change, **fields: Any) -> None:
    await Course.filter(id=change.course_id).update(**fields, updated_at=RawSQL("now()"))


async def _delete(change: Change) -> None:
    await Course.filter(id=change.course_id).delete()
