"""Concurrent searches are bounded, however long they take and however many there are."""

import asyncio

import pytest

from infra.db.pool import PoolFull
from services.catalogue import search_slots
from services.catalogue.search_slots import SLOTS, SearchesBusy, SearchSlots


async def test_no_search_runs_without_a_slot():
    slots, release = SearchSlots(wait_seconds=0.1), asyncio.Event()
    running = 0

    async def search():
        nonlocal running
        running += 1
        await release.wait()
        return running

    searching = [asyncio.create_task(slots.run(search)) for _ in range(40)]
    refused = asyncio.as_completed(searching)
    for _ in range(40 - SLOTS):
        with pytest.raises(SearchesBusy):
            await next(refused)
    assert running == SLOTS
    release.set()
    done = await asyncio.gather(*searching, return_exceptions=True)
    assert sum(isinstance(each, SearchesBusy) for each in done) == 40 - SLOTS
    assert await slots.run(search)


async def test_a_search_waits_for_a_slot_of_the_database():
    slots, responses = SearchSlots(wait_seconds=10), [None, None, 7]

    async def search():
        return responses.pop(0)

    assert await slots.run(search) == 7


async def test_a_search_without_a_slot_in_time_is_refused():
    slots = SearchSlots(wait_seconds=0.05)

    async def search():
        return None

    for _ in range(SLOTS + 1):
        with pytest.raises(SearchesBusy):
            await slots.run(search)


async def test_a_search_that_takes_too_long_is_cancelled(monkeypatch):
    monkeypatch.setattr(search_slots, "RUN_SECONDS", 0.05)
    slots, ended = SearchSlots(), []

    async def search():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    for _ in range(SLOTS + 1):
        with pytest.raises(SearchesBusy):
            await slots.run(search)
    assert len(ended) == SLOTS + 1


async def test_the_error_of_a_full_pool_is_passed_on():
    async def search():
        raise PoolFull

    for _ in range(SLOTS + 1):
        with pytest.raises(PoolFull):
            await SearchSlots().run(search)


async def test_a_cancelled_waiter_leaves_no_slot_taken():
    slots, release = SearchSlots(wait_seconds=10), asyncio.Event()

    async def search():
        await release.wait()
        return 1

    searching = [asyncio.create_task(slots.run(search)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in searching:
        task.cancel()
    await asyncio.wait(searching)
    release.set()
    assert await asyncio.gather(*(slots.run(search) for _ in range(SLOTS))) == [1] * SLOTS
