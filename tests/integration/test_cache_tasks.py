"""The task that keeps the cache warm, and what enqueues it."""

import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from infra.cache import CacheDown, Entry, NoCache, ResponseCache, SecondLevel
from infra.db.engine import database
from infra.observability import logs
from infra.queue import leases
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Difficulty, Task, TaskState
from services.catalogue import courses, read
from services.catalogue.change import enqueue_warming
from services.catalogue.queries import Filters
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.task_names import TaskName
from tasks import cache
from tasks.registry import TaskContext
from tests import photos

BLOCK = "courses?block=0&sort=newest&difficulty="


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    """The embedded cache."""
    async with running(tmp_path_factory.mktemp("cache"), {"cache"}) as servers:
        yield servers


@pytest.fixture
async def level(server):
    """The second level, empty."""
    async with Redis.from_url(server.environment["CACHE_URL"]) as redis:
        await redis.flushall()
    level = SecondLevel(server.environment["CACHE_URL"])
    yield level
    await level.close()


@pytest.fixture
async def worker(new_database, level):
    """A worker's cache, with the pool of a child of it open."""
    async with database(await new_database(), pool_size=2):
        yield ResponseCache(level, memory_bytes=0)


async def _warmings(*states):
    return await Task.filter(name=TaskName.WARM_CACHE, state__in=states).count()


async def _start(worker):
    """Claim the warming that is queued; return what runs it."""
    (task,) = await Task.filter(name=TaskName.WARM_CACHE, state=TaskState.QUEUED)
    await Task.filter(id=task.id).update(max_attempts=1)
    claim = await leases.claim(task.id, "a worker")
    parts = {"settings": Settings(_env_file=None), "storage": MemoryStorage("/media")}
    parts |= {"cache": worker, "flags": FlagFeed(Flags())}
    return TaskContext(claim, **parts, log=logs.get_logger(__name__))


async def test_changes_ask_once_for_a_warming_that_has_not_begun(worker):
    for _ in range(3):
        await enqueue_warming()
    assert await _warmings(TaskState.QUEUED) == 1


async def test_a_change_asks_for_a_warming(worker):
    created = await _create()
    assert await _warmings(TaskState.QUEUED) == 1
    await cache.warm(await _start(worker))
    await courses.delete(NoCache(), created.id)
    assert await _warmings(TaskState.QUEUED) == 1


async def test_a_change_during_a_warming_is_warmed_by_the_next(worker, level, monkeypatch):
    """It may be past the entry that the change made old."""
    await enqueue_warming()
    await level.count({read.NEWEST.name: 1})

    async def make(url_of):
        await enqueue_warming()
        await enqueue_warming()
        return Entry.of(b"[]")

    monkeypatch.setattr("services.catalogue.queries.newest", make)
    await cache.warm(await _start(worker))
    assert await _warmings(TaskState.RUNNING) == 1
    assert await _warmings(TaskState.QUEUED) == 1


async def test_what_is_lacking_is_warmed_lists_first(worker, level, monkeypatch):
    created = await _create()
    page = read.key_of_page(Filters(), 1, 10).name
    names = [f"course:{created.id}", page, "no such name", "courses"]
    await level.count({name: 10 - n for n, name in enumerate(names)})
    filled = []
    put = level.put

    async def note(name, *args):
        filled.append(name)
        await put(name, *args)

    monkeypatch.setattr(level, "put", note)
    await cache.warm(await _start(worker))
    # A course whose picture is being made is not stored.
    assert filled == [BLOCK, "courses"]
    await enqueue_warming()
    await cache.warm(await _start(worker))
    assert filled == [BLOCK, "courses"]
    await courses.delete(NoCache(), created.id)
    await cache.warm(await _start(worker))
    assert filled == [BLOCK, "courses"] * 2


async def test_without_a_second_level_nothing_is_warmed(worker, monkeypatch):
    await enqueue_warming()

    async def fail(_number):
        raise CacheDown

    monkeypatch.setattr(worker.level, "top", fail)
    await cache.warm(await _start(worker))


async def _create():
    fields = courses.CourseFields("Title", "Description", Difficulty.BEGINNER)
    return await courses.create(NoCache(), fields, photos.jpeg(64, 48))
