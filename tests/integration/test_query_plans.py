"""At 100,000 courses and 1,000,000 enrollments no endpoint reads a table from end to end."""

import asyncio
import json
import logging
import os
import sys

import asyncpg
import pytest

from infra.database import database, primary
from models import Course, Difficulty, Enrollment
from services import enrollments, shelf
from services.shelf import Filters, Sort

COURSES, ENROLLMENTS = 100_000, 1_000_000
SEED_SECONDS = 120
BIG_TABLES = {"courses", "enrollments"}

pytestmark = pytest.mark.timeout(SEED_SECONDS + 120)


@pytest.fixture(scope="module")
async def seeded(new_database):
    """A database of that size, filled by `enroll seed`."""
    url = await new_database()
    arguments = ["seed", "--courses", str(COURSES), "--enrollments", str(ENROLLMENTS)]
    filling = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker.cli", *arguments), env=os.environ | {"DATABASE_URL": url}
    )
    assert await asyncio.wait_for(filling.wait(), SEED_SECONDS) == 0
    return url


async def _first_course():
    return await Course.all().order_by("created_at").first()


async def _first_enrollment():
    return await Enrollment.all().order_by("-enrolled_at").first()


READS = {
    "newest": lambda _c, _e: shelf.newest(str),
    "page": lambda _c, _e: shelf.page(Filters(), 3, 100, str),
    "oldest": lambda _c, _e: shelf.page(Filters(sort=Sort.OLDEST), 1, 10, str),
    "by title": lambda _c, _e: shelf.page(Filters(sort=Sort.TITLE), 1, 10, str),
    "one difficulty": lambda _c, _e: shelf.page(
        Filters(difficulties=frozenset({Difficulty.ADVANCED})), 2, 10, str
    ),
    "two difficulties": lambda _c, _e: shelf.page(
        Filters(difficulties=frozenset({Difficulty.ADVANCED, Difficulty.BEGINNER})), 1, 10, str
    ),
    "search": lambda _c, _e: shelf.page(Filters(search="algebra 4242"), 1, 10, str),
    "search and difficulty": lambda _c, _e: shelf.page(
        Filters(search="Algebra 42", difficulties=frozenset({Difficulty.ADVANCED})), 1, 10, str
    ),
    "course": lambda c, _e: shelf.course(c.id, str),
    "of student": lambda _c, e: enrollments.of_student(primary(), e.student_email),
    "students of course": lambda c, _e: enrollments.students_of(primary(), c.id),
    "enrollments": lambda _c, _e: enrollments.page(primary(), 2, 100),
    "enrollments of course": lambda c, _e: enrollments.page(primary(), 1, 10, course_id=c.id),
    "enrollments of student": lambda _c, e: enrollments.page(
        primary(), 1, 10, student_email=e.student_email
    ),
    "students": lambda _c, _e: enrollments.students(primary(), 5, 100),
}


@pytest.mark.parametrize("read", READS)
async def test_no_table_is_scanned_whole(seeded, caplog, read):
    async with database(seeded, pool_size=1):
        course, enrollment = await _first_course(), await _first_enrollment()
        with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
            await READS[read](course, enrollment)
    queries = [
        record.args
        for record in caplog.records
        if record.name == "tortoise.db_client" and "SELECT" in str(record.args[0])
    ]
    assert queries
    connection = await asyncpg.connect(seeded)
    for query, values in queries:
        plan = json.loads(
            await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *values or [])
        )
        whole = [node for node in _nodes(plan[0]["Plan"]) if _scans_whole(node)]
        assert not whole, f"{query}\n{json.dumps(plan, indent=1)}"
    await connection.close()


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _scans_whole(node):
    return node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG_TABLES
