"""Fills a database by COPY, for load tests and query plans."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from uuid_utils.compat import uuid7

from infra.db.engine import direct_connection
from infra.settings import Settings, require_direct_database
from models import Difficulty
from services.catalogue.bulk import copy_courses
from services.errors import ServiceError

COURSES_A_STUDENT = 5

_SUBJECTS = (
    "Algebra Biology Chemistry Cryptography Databases Economics Ethics Genetics Geometry History "
    "Linguistics Logic Mechanics Networks Optics Philosophy Python Robotics Statistics Topology"
).split()
_MANNERS = "Applied Comparative Computational Experimental Modern Practical Theoretical".split()
_WORDS = (
    "students learn how to model measure prove compare and explain what they find in theory and "
    "in the laboratory with weekly exercises a project in teams and an oral examination"
).split()

_BULK = {"gin_pending_list_limit": "256MB", "maintenance_work_mem": "256MB"}


class NoCourses(ServiceError):
    """There are no courses to enrol in; create some with --courses"""


async def seed(settings: Settings, courses: int, enrollments: int) -> None:
    """Add courses, and enrollments spread over them (over all courses if none are added).

    Raises:
        NoCourses: enrollments are requested, and there is no course.

    """
    random = Random(courses)  # noqa: S311  repeatable, not secret
    run = f"{uuid7().int & 0xFFFFFFFF:08x}"
    now = datetime.now(UTC)
    url = require_direct_database(settings)
    async with direct_connection(url, settings=_BULK) as connection:
        ids = [uuid7() for _ in range(courses)]
        await copy_courses(connection, _courses(ids, random, now))
        if not ids:
            ids = [row["id"] for row in await connection.fetch("SELECT id FROM courses")]
        if enrollments and not ids:
            raise NoCourses
        await connection.copy_records_to_table(
            "enrollments",
            columns=["id", "student_email", "course_id", "enrolled_at"],
            records=_enrollments(ids, enrollments, run, now),
        )
        # Also merges the indexes' pending lists, and marks pages for index-only scans.
        await connection.execute("VACUUM (ANALYZE) courses, enrollments")


def _courses(ids: list[UUID], random: Random, now: datetime) -> Iterator[tuple[object, ...]]:
    levels = list(Difficulty)
    for number, course_id in enumerate(ids):
        title = f"{random.choice(_MANNERS)} {random.choice(_SUBJECTS)} {number}"
        description = " ".join(random.choices(_WORDS, k=30))
        at = now - timedelta(seconds=len(ids) - number)
        yield course_id, title, description, levels[number % len(levels)].value, at, at


def _enrollments(
    ids: list[UUID], count: int, run: str, now: datetime
) -> Iterator[tuple[object, ...]]:
    # A stride through the courses enrols no student twice in the same one.
    each = min(COURSES_A_STUDENT, len(ids)) or 1
    stride = max(1, len(ids) // each)
    for number in range(count):
        student, choice = divmod(number, each)
        course = ids[(student + choice * stride) % len(ids)]
        at = now - timedelta(milliseconds=count - number)
        yield uuid7(), f"student{student}.{run}@example.edu", course, at
