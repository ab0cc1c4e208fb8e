"""The tasks that keep the cache true and warm."""

import pytest

from infra import logs
from infra.cache import Entry, MemoryStore, Outpost
from infra.database import database
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Task, TaskState
from services import answers, leases
from services.tasks import TaskName
from tasks import cache
from tasks.registry import TaskContext


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
    await Task.filter(id=task.id).update(max_attempts=1)
    claim = await leases.claim(task.id, "a worker")
    parts = {"settings": Settings(_env_file=None), "storage": MemoryStorage("/media")}
    return TaskContext(claim, **parts, cache=outpost, log=logs.get_logger(__name__))


async def test_changes_ask_once_for_a_warming_that_has_not_begun(outpost):
    for _ in range(3):
        await answers.announce_again(outpost, [])
    assert await _warmings(TaskState.QUEUED) == 1


async def test_a_change_during_a_warming_is_warmed_by_the_next(outpost, monkeypatch):
    """It may be past the answer that the change made old."""
    await answers.announce_again(outpost, [])
    await outpost.store.count({answers.NEWEST.name: 1})

    async def make(url_of):
        await answers.announce_again(outpost, [])
        await answers.announce_again(outpost, [])
        return Entry.of(b"[]")

    monkeypatch.setattr("services.shelf.newest", make)
    await cache.warm(await _start(outpost))
    assert await _warmings(TaskState.RUNNING) == 1
    assert await _warmings(TaskState.QUEUED) == 1
