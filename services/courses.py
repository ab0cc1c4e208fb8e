"""The catalogue: what is taught."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tortoise import BaseDBAsyncClient
from tortoise.expressions import RawSQL
from tortoise.query_utils import Prefetch

from infra.cache import Cache
from infra.database import transaction
from models import Course, Difficulty, ImageVariant
from services import answers, audit, images, shelf
from services.audit import Action
from services.errors import CourseChanged, CourseNotFound
from services.shelf import Snapshot, UrlOf


@dataclass(frozen=True)
class CourseFields:
    """What an admin says of a course."""

    title: str
    description: str
    difficulty: Difficulty
    image_url: str | None = None


@dataclass(frozen=True)
class CourseChanges:
    """The fields of a course that change, by name; `removes_image`: an uploaded image goes too."""

    fields: Mapping[str, Any]
    removes_image: bool = False


# What must be true of the course, as it is locked, for a change to take place.
Condition = Callable[[Snapshot], bool]


def within_enrollment(source: BaseDBAsyncClient) -> Prefetch:
    """Return what a query of enrollments prefetches, from the same place, to show their courses."""
    return Prefetch("course", Course.annotate(shown_image=images.SHOWN).using_db(source))


async def require(course_id: UUID, source: BaseDBAsyncClient | None = None) -> None:
    """Raise CourseNotFound unless there is a course of this id."""
    if not await Course.filter(id=course_id).using_db(source).exists():
        raise CourseNotFound


async def create(cache: Cache, course: CourseFields, image: bytes | None = None) -> Snapshot:
    """Create a course; an image's bytes and the task that makes its variants commit with it."""
    async with transaction():
        created = await Course.create(
            title=course.title,
            description=course.description,
            difficulty=course.difficulty,
            image_url=course.image_url,
        )
        if image is not None:
            await images.stage(created.id, image)
        await audit.record(Action.CREATE_COURSE, created.id)
        shown = await shelf.snapshot(created.id)
        await answers.announce(cache, created.id, course.title, course.description)
    return shown


async def _lock(course_id: UUID, condition: Condition | None) -> Course:
    """Lock a course until the end of the transaction, so that the condition stays true.

    Raises:
        CourseNotFound: there is none of this id.
        CourseChanged: the condition does not hold.

    """
    course = await Course.select_for_update().get_or_none(id=course_id)
    if course is None:
        raise CourseNotFound
    if condition is not None and not condition(await shelf.snapshot(course_id)):
        raise CourseChanged
    return course


async def update(
    cache: Cache,
    course_id: UUID,
    changes: CourseChanges,
    url_of: UrlOf,
    condition: Condition | None = None,
) -> Snapshot:
    """Change the fields that `changes` has.

    An uploaded image stays, unless another address is given than the one it is shown at, which
    `url_of` tells by its key. With `removes_image` it goes.

    Raises:
        CourseNotFound: there is none of this id.
        CourseChanged: the condition does not hold.

    """
    async with transaction():
        before = await _lock(course_id, condition)
        widest = await ImageVariant.filter(course_id=course_id).order_by("-width").first()
        shown_at = url_of(widest.key) if widest else None
        fields = dict(changes.fields)
        if "image_url" in fields and fields["image_url"] == shown_at:
            # The variants have it.
            fields["image_url"] = None
        await Course.filter(id=course_id).update(**fields, updated_at=RawSQL("now()"))
        if fields.get("image_url") or (changes.removes_image and widest):
            await images.discard(course_id)
        await audit.record(Action.UPDATE_COURSE, course_id)
        shown = await shelf.snapshot(course_id)
        texts = (before.title, before.description, shown.row["title"], shown.row["description"])
        await answers.announce(cache, course_id, *texts)
    return shown


async def replace_image(
    cache: Cache, course_id: UUID, image: bytes, condition: Condition | None = None
) -> Snapshot:
    """Stage a new image; the one shown so far stays until the new one is ready.

    Raises:
        CourseNotFound: there is none of this id.
        CourseChanged: the condition does not hold.

    """
    async with transaction():
        await _lock(course_id, condition)
        await images.stage(course_id, image)
        await audit.record(Action.REPLACE_IMAGE, course_id)
        shown = await shelf.snapshot(course_id)
        await answers.announce_image(cache, course_id)
    return shown


async def remove_image(cache: Cache, course_id: UUID, condition: Condition | None = None) -> None:
    """Leave a course without an image: uploaded, in processing, failed or at an address given.

    Raises:
        CourseNotFound: there is none of this id.
        CourseChanged: the condition does not hold.

    """
    async with transaction():
        await _lock(course_id, condition)
        await images.discard(course_id)
        await Course.filter(id=course_id).update(image_url=None, updated_at=RawSQL("now()"))
        await audit.record(Action.REMOVE_IMAGE, course_id)
        await answers.announce_image(cache, course_id)


async def delete(cache: Cache, course_id: UUID, condition: Condition | None = None) -> None:
    """Delete a course and its enrollments; a task removes its images from the bucket.

    Raises:
        CourseNotFound: there is none of this id.
        CourseChanged: the condition does not hold.

    """
    async with transaction():
        before = await _lock(course_id, condition)
        await before.delete()
        await images.remove_course(course_id)
        await audit.record(Action.DELETE_COURSE, course_id)
        await answers.announce(cache, course_id, before.title, before.description)
