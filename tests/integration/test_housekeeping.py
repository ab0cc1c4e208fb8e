"""Housekeeping deletes orphans, keeps what is referenced, and may run twice."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

import infra.db.engine
from infra.cache import NoCache, ResponseCache, SecondLevel
from infra.db import batches
from infra.db.engine import analyze, database, direct_connection
from infra.queue import operations
from infra.queue.enqueue import enqueue
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Course, Difficulty, Task, TaskState, Upload
from services.catalogue import courses, housekeeping
from services.catalogue import images as course_images
from services.catalogue.change import change
from services.catalogue.courses import CourseFields
from services.errors import UploadGone
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.images import pipeline
from tasks.registry import load_tasks
from tests import photos
from worker.execution import Backends, execute
from worker.heartbeat import Heartbeat

FIELDS = CourseFields("t", "d", Difficulty.BEGINNER)
PIXELS = 50_000_000


@pytest.fixture(autouse=True)
async def url(new_database, task_hooks):
    """The URL of an empty database on which Tortoise is open."""
    url = await new_database()
    async with database(url, pool_size=2):
        yield url


async def _course(image: bytes) -> Course:
    return await Course.get(id=(await courses.create(NoCache(), FIELDS, image)).id)


async def _uploaded(storage: MemoryStorage, *, publish: bool):
    course = await Course.get(
        id=(await courses.create(NoCache(), FIELDS, photos.jpeg(400, 300))).id
    )
    upload = await Upload.get(course_id=course.id)
    reported = []

    async def report(percent):
        reported.append(percent)

    variants = await pipeline.store_variants(
        storage, course.id, upload.id, PIXELS, report, flags=Flags()
    )
    assert reported == [50, 75]
    if publish:
        async with change(NoCache(), course.id) as finished:
            await course_images.publish(finished, course.image_task_id, upload.id, variants)
    return course


async def test_old_orphans_are_deleted_and_all_other_objects_are_kept(monkeypatch):
    storage = MemoryStorage("/media")
    await _uploaded(storage, publish=True)
    await _uploaded(storage, publish=False)
    foreign = ["courses/stray.webp", f"courses/{uuid7()}/photo.webp", "courses/a/b/320.webp"]
    for key in foreign:
        await storage.put(key, b"foreign", "image/webp")
    kept = sorted(await storage.list_keys(""))
    await storage.put(f"courses/{uuid7()}/{uuid7()}/320.webp", b"lost", "image/webp")
    # Another service of the bucket may show a new one, or this database be a restored one.
    assert await housekeeping.remove_orphans(storage) == 0
    monkeypatch.setattr(housekeeping, "ORPHANED_AFTER", timedelta(0))
    assert await housekeeping.remove_orphans(storage) == 1
    assert await housekeeping.remove_orphans(storage) == 0
    assert sorted(await storage.list_keys("")) == kept


@pytest.mark.parametrize(("days", "removed"), [(29, 0), (31, 1)])
async def test_the_age_of_an_orphan_is_in_its_id(days, removed):
    storage = MemoryStorage("/media")
    milliseconds = int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1000)
    stored = UUID(int=milliseconds << 80)
    await storage.put(f"courses/{uuid7()}/{stored}/320.webp", b"lost", "image/webp")
    assert await housekeeping.remove_orphans(storage) == removed


async def test_staged_bytes_are_kept_as_long_as_a_task_may_need_them():
    course = await _course(photos.jpeg(40, 30))
    task = Task.filter(id=course.image_task_id)
    before, after = (course.created_at + timedelta(days=days) for days in (-1, 1))
    assert await housekeeping.prune_uploads(after) == 0
    await task.update(state=TaskState.FAILED, finished_at=course.created_at)
    assert await housekeeping.prune_uploads(before) == 0
    await task.delete()
    assert await housekeeping.prune_uploads(before) == 1
    assert await housekeeping.prune_uploads(before) == 0
    assert await Upload.all().count() == 0


async def test_a_retry_after_the_retention_fails_permanently_with_a_reason(url):
    course = await _course(photos.jpeg(40, 30))
    task = Task.filter(id=course.image_task_id)
    await task.update(state=TaskState.FAILED, finished_at=course.created_at)
    assert await housekeeping.prune_uploads(course.created_at + timedelta(days=1)) == 1
    await operations.retry(course.image_task_id)
    await task.update(max_attempts=9)
    assert await execute(_backends(url), course.image_task_id) == "failed"
    failed = await task.get()
    assert (failed.attempts, failed.error) == (1, UploadGone.__doc__)
    await course.refresh_from_db()
    assert course.image_task_id == failed.id


@pytest.mark.parametrize("name", [each for each, kind in load_tasks().items() if kind.timing])
async def test_each_scheduled_task_may_run_twice(url, name):
    for _ in range(2):
        task_id = await enqueue(name, {})
        await Task.filter(id=task_id).update(max_attempts=1)
        assert await execute(_backends(url), task_id) == "succeeded"


def _backends(url: str) -> Backends:
    settings = Settings(_env_file=None, database_url=url)
    cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
    parts = settings, MemoryStorage("/media"), cache, FlagFeed(Flags()), load_tasks()
    return Backends(*parts, "this", Heartbeat(url))


async def test_the_statistics_have_a_longer_statement_timeout_than_the_pool(url, monkeypatch):
    monkeypatch.setattr(infra.db.engine, "COMMAND_TIMEOUT_SECONDS", 0.1)
    async with database(url, pool_size=1), direct_connection(url) as other:
        async with other.transaction():
            await other.execute("LOCK TABLE courses IN ACCESS EXCLUSIVE MODE")
            refreshing = asyncio.create_task(analyze(url))
            await asyncio.sleep(0.5)
            assert not refreshing.done()
        await refreshing


async def test_many_rows_are_deleted_in_batches(monkeypatch, caplog):
    monkeypatch.setattr(batches, "BATCH", 3)
    await Task.bulk_create(Task(name=f"test.{number % 2}", args={}) for number in range(10))
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        deleted = await batches.delete("tasks", "name = $1", "test.0")
    assert deleted == 5
    assert await Task.filter(name="test.0").count() == 0
    assert await Task.filter(name="test.1").count() == 5
    statements = [record for record in caplog.records if "DELETE" in str(record.args[:1])]
    assert len(statements) == 2
