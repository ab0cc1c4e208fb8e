"""Enrolling and reading cost the database one statement each."""

import asyncio
from contextlib import asynccontextmanager, nullcontext

import pytest
from tortoise import Tortoise

from infra.db.engine import database
from models import Course, Difficulty, ImageVariant
from services.catalogue import queries
from services.catalogue.queries import Filters, Sort
from services.enrollments import write
from services.errors import AlreadyEnrolled, CourseNotFound, UnknownCourse
from tests.factories import NO_ID

PAGES = {
    "plain": Filters(),
    "filtered": Filters(difficulties=frozenset([Difficulty.BEGINNER]), sort=Sort.TITLE),
    "searched": Filters(search="T", sort=Sort.OLDEST),
    "found nothing": Filters(search="nowhere"),
}
READS = {
    "course": lambda course: queries.course(course.id, str),
    "newest": lambda _: queries.newest(str),
    **{
        f"page, {name}": lambda _, filters=filters: queries.page(filters, 1, 10, str)
        for name, filters in PAGES.items()
    },
}


@pytest.fixture
async def course(new_database):
    """A course with an image; the open pool has one connection."""
    async with database(await new_database(), pool_size=1):
        course = await Course.create(title="T", description="D", difficulty=Difficulty.BEGINNER)
        await ImageVariant.create(
            course=course, key="k", width=640, height=480, format="webp", bytes=1
        )
        yield course


@asynccontextmanager
async def _sent():
    """Yield the statements that the block sends."""
    sent = []
    pool = Tortoise.get_connection("default")
    # A proxy's loggers live until the connection is returned, so the block holds the connection.
    async with pool.acquire_connection() as connection:
        pool.acquire_connection = lambda: _Held(connection)
        connection.add_query_logger(lambda record: sent.append(record.query))
        yield sent
        await asyncio.sleep(0)  # the logger runs in the loop's next iteration
        del pool.acquire_connection


class _Held:
    def __init__(self, connection):
        self.connection = connection

    async def __aenter__(self):
        return self.connection

    async def __aexit__(self, *_):
        pass


@pytest.mark.parametrize(
    ("enrolled_before", "known", "outcome"),
    [(False, True, None), (True, True, AlreadyEnrolled), (False, False, UnknownCourse)],
)
async def test_an_enrollment_is_one_round_trip(course, enrolled_before, known, outcome):
    if enrolled_before:
        await write.insert("a@example.org", course.id)
    await write.insert("b@example.org", course.id)
    async with _sent() as sent:
        with pytest.raises(outcome) if outcome else nullcontext():
            await write.insert("a@example.org", course.id if known else NO_ID)
    assert len(sent) == 1


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_read_is_one_round_trip(course, read):
    await read(course)
    async with _sent() as sent:
        entry = await read(course)
    assert len(sent) == 1
    assert entry.body


async def test_an_unknown_course_is_one_round_trip(course):
    async with _sent() as sent:
        with pytest.raises(CourseNotFound):
            await queries.course(NO_ID, str)
    assert len(sent) == 1
