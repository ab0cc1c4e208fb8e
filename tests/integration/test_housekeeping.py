"""Housekeeping takes what is nobody's, leaves what is somebody's, and may run twice."""

import pytest
from uuid_utils.compat import uuid7

from infra.cache import NoCache
from infra.database import analyze, database
from infra.storage.memory import MemoryStorage
from models import Difficulty, Task, TaskState, Upload
from services import courses, housekeeping, images
from services.courses import CourseFields
from tests import photos

FIELDS = CourseFields("t", "d", Difficulty.BEGINNER)
PIXELS = 50_000_000


@pytest.fixture
async def _tables(new_database):
    async with database(await new_database(), pool_size=2):
        yield


pytestmark = pytest.mark.usefixtures("_tables")


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


async def test_statistics_are_refreshed():
    await analyze()
