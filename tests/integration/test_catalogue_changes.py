"""What the database notes of each change of the catalogue: a version, in order."""

import asyncio

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from infra.db.engine import database
from infra.db.history import MOST_CHANGES
from services.catalogue import feed

COURSE = (
    "INSERT INTO courses (id, title, description, difficulty) VALUES ($1, 't', 'd', 'Beginner')"
)
VARIANT = """
    INSERT INTO image_variants (id, course_id, width, height, format, bytes, key)
    VALUES ($1, $2, 320, 240, 'webp', 1, $3)
"""
TASK = "INSERT INTO tasks (id, name, args) VALUES ($1, $2, '{}')"
NOTED = "SELECT course_id::text, listed, version, previous FROM catalogue_changes ORDER BY version"
CURRENT = "SELECT version FROM catalogue_version"


@pytest.fixture
async def course(connection):
    """A course with a variant, whose image a task makes; what it took is not noted any more."""
    course_id, task_id = uuid7(), uuid7()
    await connection.execute(TASK, task_id, "images.process")
    await connection.execute(COURSE, course_id)
    await connection.execute(VARIANT, uuid7(), course_id, "key")
    await connection.execute(
        "UPDATE courses SET image_task_id = $1 WHERE id = $2", task_id, course_id
    )
    await connection.execute("DELETE FROM catalogue_changes")
    return str(course_id)


async def _noted(connection):
    """Return which courses have changed, and whether in lists; forget it."""
    noted = await connection.fetch(NOTED)
    await connection.execute("DELETE FROM catalogue_changes")
    return [(row["course_id"], row["listed"]) for row in noted]


@pytest.mark.parametrize(
    ("statement", "listed"),
    [
        ("UPDATE courses SET title = 'another'", True),
        ("UPDATE courses SET description = 'another'", True),
        ("UPDATE courses SET difficulty = 'Advanced'", True),
        ("UPDATE courses SET created_at = now() + interval '1 s'", True),
        ("UPDATE courses SET image_url = 'https://x', updated_at = now()", False),
        ("UPDATE courses SET image_task_id = NULL", False),
        ("UPDATE image_variants SET bytes = 2", False),
        ("DELETE FROM image_variants", False),
        ("UPDATE tasks SET state = 'failed', finished_at = now()", False),
        ("DELETE FROM tasks", False),
        ("DELETE FROM courses", True),
    ],
)
async def test_each_change_of_what_is_shown_is_noted(connection, course, statement, listed):
    before = await connection.fetchval(CURRENT)
    await connection.execute(statement)
    (noted,) = await connection.fetch(NOTED)
    assert (noted["course_id"], noted["listed"]) == (course, listed)
    assert noted["previous"] == before < noted["version"]
    assert noted["version"] == await connection.fetchval(CURRENT)


async def test_what_is_not_shown_is_not_noted(connection, course):
    await connection.execute("UPDATE tasks SET progress = 50")
    await connection.execute("UPDATE tasks SET state = 'running', attempts = 1")
    await connection.execute(TASK, uuid7(), "images.process")
    await connection.execute(
        "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE state = 'queued'"
    )
    await connection.execute(
        "INSERT INTO enrollments (id, student_email, course_id) VALUES ($1, 'a@b.org', $2)",
        *(uuid7(), course),
    )
    assert await _noted(connection) == []


async def test_a_transaction_makes_one_version_and_notes_each_course_once(connection, course):
    other = uuid7()
    async with connection.transaction():
        await connection.execute("UPDATE image_variants SET bytes = 3")
        await connection.execute(COURSE, other)
        await connection.execute("UPDATE courses SET title = 'another'")
        await connection.execute("UPDATE courses SET image_url = 'https://x'")
        assert await connection.fetch(NOTED) == []
    noted = await connection.fetch(NOTED)
    assert {(row["course_id"], row["listed"]) for row in noted} == {
        (course, True),
        (str(other), True),
    }
    assert len({row["version"] for row in noted}) == len({row["previous"] for row in noted}) == 1


async def test_of_very_many_changes_at_once_no_more_are_noted_than_a_process_reads(connection):
    many = """
        INSERT INTO courses (id, title, description, difficulty)
        SELECT gen_random_uuid(), 't', 'd', 'Beginner' FROM generate_series(1, $1)
    """
    await connection.execute(many, MOST_CHANGES + 10)
    assert len(await connection.fetch(NOTED)) == MOST_CHANGES
    await connection.execute(many, 1)
    assert len(await connection.fetch(NOTED)) == MOST_CHANGES + 1


async def test_what_is_rolled_back_is_not_noted(connection, course):
    before = await connection.fetchval(CURRENT)
    async with connection.transaction():
        with pytest.raises(LookupError):
            async with connection.transaction():
                await connection.execute("UPDATE courses SET title = 'another'")
                assert await connection.fetch("SELECT * FROM catalogue_changes_now()")
                raise LookupError
        assert await connection.fetch("SELECT * FROM catalogue_changes_now()") == []
        await connection.execute("UPDATE courses SET image_url = 'https://x'")
    assert await _noted(connection) == [(course, False)]
    assert before < await connection.fetchval(CURRENT)


async def test_a_transaction_tells_what_it_changes_before_it_commits(connection, course):
    async with connection.transaction():
        assert await connection.fetch("SELECT * FROM catalogue_changes_now()") == []
        await connection.execute("UPDATE courses SET image_url = 'https://x'")
        (told,) = await connection.fetch("SELECT * FROM catalogue_changes_now()")
        # What comes after is noted at once, under the same version.
        await connection.execute("UPDATE courses SET title = 'another'")
    (noted,) = await connection.fetch(NOTED)
    assert noted["version"] == told["version"]
    assert (told["listed"], noted["listed"]) == (False, True)


async def test_the_order_of_versions_is_the_order_of_commits(new_database):
    url = await new_database()
    seen = []

    async def write(number):
        connection = await asyncpg.connect(url)
        for _ in range(10):
            await connection.execute(COURSE, uuid7())
            await asyncio.sleep(0.001 * number)
        await connection.close()

    async def watch():
        connection = await asyncpg.connect(url)
        while len(seen) < 40:
            for row in await connection.fetch(NOTED):
                if row["version"] not in seen:
                    seen.append(row["version"])
            await asyncio.sleep(0)
        await connection.close()

    await asyncio.gather(watch(), *(write(number) for number in range(4)))
    # One that appeared behind a later one would have been missed by a process that had polled.
    assert seen == sorted(seen)
    connection = await asyncpg.connect(url)
    noted = await connection.fetch(NOTED)
    assert [row["previous"] for row in noted[1:]] == [row["version"] for row in noted[:-1]]
    await connection.close()


async def test_a_version_is_given_once_even_where_the_clock_goes_back(connection):
    far = await connection.fetchval(
        "UPDATE catalogue_version SET version = version * 2 RETURNING version"
    )
    await connection.execute(COURSE, uuid7())
    assert await connection.fetchval(CURRENT) == far + 1


async def test_a_change_wakes_the_feeds(connection, course):
    heard = asyncio.Event()
    await connection.add_listener("catalogue", lambda *_: heard.set())
    await connection.execute("UPDATE courses SET image_url = 'https://x'")
    await asyncio.wait_for(heard.wait(), 5)


async def test_truncate_which_no_trigger_of_a_row_sees_is_refused(connection):
    for table in ("image_variants", "courses"):
        with pytest.raises(asyncpg.RaiseError):
            await connection.execute(f"TRUNCATE {table} CASCADE")


async def test_old_changes_are_pruned_and_the_latest_stays(new_database):
    url = await new_database()
    connection = await asyncpg.connect(url)
    for _ in range(3):
        await connection.execute(COURSE, uuid7())
    async with database(url, pool_size=1):
        assert await feed.prune() == 0
        await connection.execute("UPDATE catalogue_changes SET version = version - 3600000000")
        await connection.execute("UPDATE catalogue_version SET version = version - 3600000000")
        assert await feed.prune() == 2
    assert len(await connection.fetch(NOTED)) == 1
    await connection.close()
