"""The catalogue: what is taught."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from tortoise import BaseDBAsyncClient
from tortoise.expressions import RawSQL
from tortoise.query_utils import Prefetch
from tortoise.queryset import QuerySet
from tortoise.transactions import in_transaction

from infra.cache import Cache
from models import Course, Difficulty, ImageVariant
from services import answers, audit, images
from services.audit import Action
from services.errors import CourseNotFound


@dataclass(frozen=True)
class CourseFields:
    """What an admin says of a course."""

    title: str
    description: str
    difficulty: Difficulty
    image_url: str | None = None


def _with_image(chosen: QuerySet[Course]) -> QuerySet[Course]:
    return chosen.annotate(shown_image=images.SHOWN)


def within_enrollment(source: BaseDBAsyncClient) -> Prefetch:
    """Return what a query of enrollments prefetches, from the same place, to show their courses."""
    return Prefetch("course", _with_image(Course.all()).using_db(source))


async def get(course_id: UUID) -> Course:
    """Return a course with its image.

    Raises:
        CourseNotFound: there is none of this id.

    """
    course = await _with_image(Course.filter(id=course_id)).first()
    if course is None:
        raise CourseNotFound
    return course


async def require(course_id: UUID, source: BaseDBAsyncClient | None = None) -> None:
    """Raise CourseNotFound unless there is a course of this id."""
    if not await Course.filter(id=course_id).using_db(source).exists():
        raise CourseNotFound


async def create(cache: Cache, course: CourseFields, image: bytes | None = None) -> Course:
    """Create a course; an image's bytes and the task that makes its variants commit with it."""
    async with in_transaction():
        created = await Course.create(
            title=course.title,
            description=course.description,
            difficulty=course.difficulty,
            image_url=course.image_url,
        )
        if image is not None:
            await images.stage(created.id, image)
        await audit.record(Action.CREATE_COURSE, created.id)
        mark = await answers.mark()
    await answers.announce(cache, created.id, mark, course.title, course.description)
    return await get(created.id)


async def update(
    cache: Cache, course_id: UUID, course: CourseFields, url_of: Callable[[str], str]
) -> Course:
    """Replace what is said of a course.

    An uploaded image stays, unless another address is given than the one it is shown at, which
    `url_of` tells by its key.

    Raises:
        CourseNotFound: there is none of this id.

    """
    async with in_transaction():
        before = await Course.select_for_update().get_or_none(id=course_id)
        if before is None:
            raise CourseNotFound
        widest = await ImageVariant.filter(course_id=course_id).order_by("-width").first()
        shown = url_of(widest.key) if widest else None
        given = course.image_url if course.image_url != shown else None
        await Course.filter(id=course_id).update(
            title=course.title,
            description=course.description,
            difficulty=course.difficulty,
            image_url=given,
            updated_at=RawSQL("now()"),
        )
        if given is not None:
            await images.discard(course_id)
        await audit.record(Action.UPDATE_COURSE, course_id)
        mark = await answers.mark()
    texts = (before.title, before.description, course.title, course.description)
    await answers.announce(cache, course_id, mark, *texts)
    return await get(course_id)


async def replace_image(cache: Cache, course_id: UUID, image: bytes) -> Course:
    """Stage a new image; the one shown so far stays until the new one is ready.

    Raises:
        CourseNotFound: there is none of this id.

    """
    async with in_transaction():
        if await Course.select_for_update().get_or_none(id=course_id) is None:
            raise CourseNotFound
        await images.stage(course_id, image)
        await audit.record(Action.REPLACE_IMAGE, course_id)
        mark = await answers.mark()
    await answers.announce_image(cache, course_id, mark)
    return await get(course_id)


async def delete(cache: Cache, course_id: UUID) -> None:
    """Delete a course and its enrollments; a task removes its images from the bucket.

    Raises:
        CourseNotFound: there is none of this id.

    """
    async with in_transaction():
        before = await Course.select_for_update().get_or_none(id=course_id)
        if before is None:
            raise CourseNotFound
        await before.delete()
        await images.remove_course(course_id)
        await audit.record(Action.DELETE_COURSE, course_id)
        mark = await answers.mark()
    await answers.announce(cache, course_id, mark, before.title, before.description)
