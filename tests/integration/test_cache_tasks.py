"""The tasks that keep the cache true and warm."""

import pytest

from infra.cache import Entry, MemoryStore, NoCache, Outpost
from infra.db.engine import database
from infra.observability import logs
from infra.queue import leases
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Difficulty, Task, TaskState
from services.catalogue import courses, read
from services.catalogue.queries import Filters
from services.task_names import TaskName
from tasks import cache
from tasks.registry import TaskContext
from tests import photos


@pytest.fixture
async def outpost(new_database):
    """A worker's cache, with the pool of a child of it open."""
    async with database(await new_database(), pool_size=2):
        yield Outpost(MemoryStore())


async def _warmings(*states):
    return await Task.filter(name=TaskName.WARM_CACHE, state__in=states).count()


async def _start(outpost):
    """Claim the warming that is queued; return what runs it."""
    (task,) = await Task.filter(name=TaskName.WARM_CACHE, state=TaskState.QUEUED)
    return _context(outpost, await _claim(task))


async def _claim(task):
    await Task.filter(id=task.id).update(max_attempts=1)
    return await leases.claim(task.id, "a worker")


def _context(outpost, claim):
    parts = {"settings": Settings(_env_file=None), "storage": MemoryStorage("/media")}
    return TaskContext(claim, **parts, cache=outpost, log=logs.get_logger(__name__))


async def test_changes_ask_once_for_a_warming_that_has_not_begun(outpost):
    for _ in range(3):
        await read.ask_to_warm()
    assert await _warmings(TaskState.QUEUED) == 1


async def test_a_change_during_a_warming_is_warmed_by_the_next(outpost, monkeypatch):
    """It may be past the answer that the change made old."""
    await read.ask_to_warm()
    await outpost.store.count({read.NEWEST.name: 1})

    async def make(url_of):
        await read.ask_to_warm()
        await read.ask_to_warm()
        return Entry.of(b"[]")

    monkeypatch.setattr("services.catalogue.queries.newest", make)
    await cache.warm(await _start(outpost))
    assert await _warmings(TaskState.RUNNING) == 1
    assert await _warmings(TaskState.QUEUED) == 1


async def test_what_is_lacking_is_warmed_listings_first(outpost):
    created = await _create(outpost)
    page = read.key_of_page(Filters(), 1, 10).name
    names = [f"course:{created.id}", page, "no such name", "courses"]
    sheet = "courses?sheet=0&sort=newest&difficulty="
    assert await read.lacking(outpost, names) == [sheet, "courses", names[0]]
    await outpost.store.count({name: 10 - n for n, name in enumerate(names)})
    await read.ask_to_warm()
    await cache.warm(await _start(outpost))
    # A course whose picture is being made is not kept.
    assert await read.lacking(outpost, names) == [names[0]]


async def _refreshings(outpost):
    """Run the tasks that a change has enqueued; return the versions of the listings around it."""
    versions = [(await outpost.store.begin(read.NEWEST, None)).version]
    queued = await Task.filter(name=TaskName.REFRESH_CACHE, state=TaskState.QUEUED)
    for task in queued:
        claim = await _claim(task)
        context = _context(outpost, claim)
        await cache.refresh(context, **claim.args)
        await context.finish()
    assert queued
    versions.append((await outpost.store.begin(read.NEWEST, None)).version)
    return versions


async def _create(cache_of_writer):
    fields = courses.CourseFields("Title", "Description", Difficulty.BEGINNER)
    return await courses.create(cache_of_writer, fields, photos.jpeg(64, 48))


async def test_what_was_announced_is_not_announced_again(outpost):
    created = await _create(outpost)
    before, after = await _refreshings(outpost)
    assert before == after
    assert await _warmings(TaskState.QUEUED) == 1
    await courses.replace_image(outpost, created.id, photos.jpeg(64, 48))
    before, after = await _refreshings(outpost)
    assert before == after


async def test_what_its_writer_has_not_announced_is(outpost):
    await _create(NoCache())
    before, after = await _refreshings(outpost)
    assert before != after
    # Nor does the mark of another transaction stand for it.
    await _create(outpost)
    await Task.filter(name=TaskName.REFRESH_CACHE, state=TaskState.QUEUED).delete()
    await courses.delete(NoCache(), (await _create(NoCache())).id)
    before, after = await _refreshings(outpost)
    assert before != after
