"""The write seam: a change of the catalogue is committed, audited and announced, or none of it."""

import inspect

import pytest
from uuid_utils.compat import uuid7

from infra.cache import NoCache
from infra.db.engine import database
from infra.queue import hooks, operations
from models import AuditEntry, Course, Difficulty, Task
from services.catalogue import courses
from services.catalogue.change import change
from services.catalogue.courses import CourseChanges, CourseFields
from services.errors import CourseChanged, CourseNotFound
from services.task_hooks import TaskHooks
from tests import photos
from tests.cancelling import each_cancellation

FIELDS = CourseFields("Title", "Description", Difficulty.BEGINNER)
IMAGE = photos.jpeg(64, 48)
CHANGES = CourseChanges({"title": "Another"}, removes_image=True)


class _ChangeCounter(NoCache):
    """A cache that counts the announced changes."""

    def __init__(self):
        self.announced = 0

    async def publish(self, changes):
        assert changes
        self.announced += 1


async def _task_of(course):
    return (await Course.get(id=course)).image_task_id


# All writers of the catalogue, called with a cache and the id of a course whose image is queued.
WRITERS = {
    "create": lambda cache, _: courses.create(cache, FIELDS, IMAGE),
    "update": lambda cache, course: courses.update(cache, course, CHANGES, str),
    "replace_image": lambda cache, course: courses.replace_image(cache, course, IMAGE),
    "remove_image": courses.remove_image,
    "delete": courses.delete,
}


@pytest.fixture(autouse=True)
async def pool(new_database):
    """The pool of an empty database."""
    async with database(await new_database(), pool_size=2):
        yield


def test_the_list_of_writers_is_complete():
    having_cache = {
        name
        for name, function in inspect.getmembers(courses, inspect.iscoroutinefunction)
        if "cache" in inspect.signature(function).parameters
    }
    assert having_cache == set(WRITERS)


@pytest.mark.parametrize("writer", WRITERS)
async def test_a_change_is_announced_and_audited_exactly_if_it_is_committed(writer):
    cache, committed = _ChangeCounter(), []
    course = await courses.create(NoCache(), FIELDS, IMAGE)
    before = await AuditEntry.all().count()

    def write():
        return WRITERS[writer](cache, course.id)

    async for number in each_cancellation(write):
        committed.append(await AuditEntry.all().count() - before)
        assert cache.announced == committed[-1], number
        cache.announced = 0
        course = await courses.create(NoCache(), FIELDS, IMAGE)
        before = await AuditEntry.all().count()
    # Cancelled before the commit, during commit and announcement, and not at all.
    assert (committed[0], committed[-1]) == (0, 1)
    assert sum(committed) > 1


async def test_a_failed_change_is_not_announced():
    cache = _ChangeCounter()
    course = await courses.create(NoCache(), FIELDS)
    with pytest.raises(CourseChanged):
        await courses.delete(cache, course.id, lambda _: False)
    with pytest.raises(CourseNotFound):
        await courses.replace_image(cache, uuid7(), IMAGE)
    with pytest.raises(RuntimeError):
        async with change(cache, course.id) as failing:
            await failing.lock()
            raise RuntimeError
    assert cache.announced == 0
    assert await Course.exists(id=course.id)
    assert await AuditEntry.all().count() == 1


@pytest.mark.parametrize("write", [operations.retry, operations.cancel])
async def test_an_operators_change_of_an_image_task_is_announced(write):
    cache = _ChangeCounter()
    created = await courses.create(NoCache(), FIELDS, IMAGE)
    prune = (await Task.create(name="maintenance.prune_tasks", args={})).id
    task_id = await _task_of(created.id)
    if write is operations.retry:
        with hooks.registered(TaskHooks(NoCache())):
            await operations.cancel(task_id)
    with hooks.registered(TaskHooks(cache)):
        await write(task_id)
        assert cache.announced == 1
        await write(prune)
    assert cache.announced == 1
