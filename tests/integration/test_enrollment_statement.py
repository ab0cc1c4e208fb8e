"""What an enrollment costs the database: one statement, and no more."""

from contextlib import nullcontext

import pytest
from tortoise import Tortoise

from infra.database import database
from models import Course, Difficulty
from services import enrollments
from services.errors import AlreadyEnrolled, UnknownCourse
from tests.factories import NO_ID


@pytest.fixture
async def course(new_database):
    """A course, with the pool of one connection open."""
    async with database(await new_database(), pool_size=1):
        yield await Course.create(title="T", description="D", difficulty=Difficulty.BEGINNER)


@pytest.mark.parametrize(
    ("enrolled_before", "known", "outcome"),
    [(False, True, None), (True, True, AlreadyEnrolled), (False, False, UnknownCourse)],
)
async def test_an_enrollment_is_one_round_trip(course, enrolled_before, known, outcome):
    if enrolled_before:
        await enrollments.enroll("a@example.org", course.id)
    await enrollments.enroll("b@example.org", course.id)
    sent = []
    pool = Tortoise.get_connection("default")
    # A proxy's loggers live until the connection goes back, so the whole test holds it.
    async with pool.acquire_connection() as connection:
        pool.acquire_connection = lambda: _Held(connection)
        connection.add_query_logger(lambda record: sent.append(record.query))
        with pytest.raises(outcome) if outcome else nullcontext():
            await enrollments.enroll("a@example.org", course.id if known else NO_ID)
        del pool.acquire_connection
    assert len(sent) == 1


class _Held:
    def __init__(self, connection):
        self.connection = connection

    async def __aenter__(self):
        return self.connection

    async def __aexit__(self, *_):
        pass
