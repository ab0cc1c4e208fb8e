"""Housekeeping takes what is nobody's, leaves what is somebody's, and may run twice."""

import asyncio
import logging

import pytest
from uuid_utils.compat import uuid7

import infra.database
from infra.cache import NoCache
from infra.database import analyze, database, direct_connection
from infra.storage.memory import MemoryStorage
from models import Difficulty, Task, TaskState, Upload
from services import batches, courses, housekeeping, images
from services.courses import CourseFields
from tests import photos

FIELDS = CourseFields("t", "d", Difficulty.BEGINNER)
PIXELS = 50_000_000


@pytest.fixture(autouse=True)
async def url(new_database):
    """The URL of an empty database, which is open."""
    url = await new_database()
    async with database(url, pool_size=2):
        yield url


async def _uploaded(storage: MemoryStorage, *, publish: bool):
    course = await courses.create(NoCache(), FIELDS, photos.jpeg(400, 300))
    upload = await Upload.get(course_id=course.id)
    reported = []

    async def report(percent):
        reported.append(percent)

    variants = await images.store_variants(storage, course.id, upload.id, PIXELS, report)
    assert reported == [50, 75]
    if publish:
        await images.publish(course.image_task_id, course.id, upload.id, variants)
    return course


async def test_orphans_go_and_what_is_shown_or_in_the_making_stays():
    storage = MemoryStorage("/media")
    await _uploaded(storage, publish=True)
    await _uploaded(storage, publish=False)
    kept = await storage.list_keys("")
    await storage.put(f"courses/{uuid7()}/{uuid7()}/320.webp", b"lost", "image/webp")
    await storage.put("courses/stray.webp", b"lost", "image/webp")
    assert await housekeeping.remove_orphans(storage) == 2
    assert await housekeeping.remove_orphans(storage) == 0
    assert await storage.list_keys("") == kept


async def test_staged_bytes_stay_as_long_as_a_task_may_ask_for_them():
    course = await courses.create(NoCache(), FIELDS, photos.jpeg(40, 30))
    task = Task.filter(id=course.image_task_id)
    assert await housekeeping.prune_uploads() == 0
    await task.update(state=TaskState.FAILED, finished_at=course.created_at)
    assert await housekeeping.prune_uploads() == 0
    await task.delete()
    assert await housekeeping.prune_uploads() == 1
    assert await housekeeping.prune_uploads() == 0
    assert await Upload.all().count() == 0


async def test_statistics_may_take_longer_than_a_statement_of_the_pool(url, monkeypatch):
    monkeypatch.setattr(infra.database, "COMMAND_TIMEOUT_SECONDS", 0.1)
    async with database(url, pool_size=1), direct_connection(url) as other:
        async with other.transaction():
            await other.execute("LOCK TABLE courses IN ACCESS EXCLUSIVE MODE")
            refreshing = asyncio.create_task(analyze(url))
            await asyncio.sleep(0.5)
            assert not refreshing.done()
        await refreshing


async def test_much_is_deleted_some_at_a_time(monkeypatch, caplog):
    monkeypatch.setattr(batches, "BATCH", 3)
    await Task.bulk_create(Task(name=f"test.{number % 2}", args={}) for number in range(10))
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        deleted = await batches.delete("tasks", "name = $1", "test.0")
    assert deleted == 5
    assert await Task.filter(name="test.0").count() == 0
    assert await Task.filter(name="test.1").count() == 5
    statements = [record for record in caplog.records if "DELETE" in str(record.args[:1])]
    assert len(statements) == 2
