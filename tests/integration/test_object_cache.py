"""The cache of objects in front of the image store."""

import asyncio
from collections import Counter

import pytest

from infra.storage import StorageUnavailable, object_cache
from infra.storage.memory import MemoryStorage
from infra.storage.object_cache import OVERHEAD_BYTES, ObjectCache

KEY = "courses/1/320.webp"
WEBP = "image/webp"


class Store(MemoryStorage):
    """A store that counts its calls, and waits or fails on demand."""

    def __init__(self):
        super().__init__("/media")
        self.fetches = Counter()
        self.fault = None
        self.open = asyncio.Event()
        self.open.set()
        self.inside = self.most_inside = 0

    async def get(self, key):
        self.fetches[key] += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await self.open.wait()
            if self.fault:
                raise self.fault
            return await super().get(key)
        finally:
            self.inside -= 1


@pytest.fixture
async def store():
    store = Store()
    await store.put(KEY, b"image", WEBP)
    return store


async def test_concurrent_reads_share_one_fetch(store):
    shown = ObjectCache(store, 10_000, 60)
    assert shown.peek(KEY) is None
    responses = await asyncio.gather(*(shown.get(KEY) for _ in range(20)))
    assert {(each.entry.body, each.content_type) for each in responses} == {(b"image", WEBP)}
    assert shown.peek(KEY) is responses[0] is await shown.get(KEY)
    assert store.fetches == {KEY: 1}


async def test_a_missing_object_is_not_cached(store):
    shown = ObjectCache(store, 10_000, 60)
    assert await shown.get("no.webp") is None
    await store.put("no.webp", b"now", WEBP)
    assert (await shown.get("no.webp")).entry.body == b"now"


async def test_a_removed_object_is_not_shown_for_long(store):
    shown = ObjectCache(store, 10_000, 0.05)
    first = await shown.get(KEY)
    await asyncio.sleep(0.1)
    # Equal bytes keep their computed values.
    again = await shown.get(KEY)
    assert again is not first
    assert again.entry is first.entry
    await store.delete_prefix(KEY)
    await asyncio.sleep(0.1)
    assert shown.peek(KEY) is None
    assert await shown.get(KEY) is None
    store.fault = StorageUnavailable("away")
    with pytest.raises(StorageUnavailable):
        await shown.get(KEY)


async def test_cached_objects_are_shown_while_the_store_is_down(store):
    shown = ObjectCache(store, 10_000, 0.05)
    first = await shown.get(KEY)
    store.fault = StorageUnavailable("away")
    await asyncio.sleep(0.1)
    assert await shown.get(KEY) is first is shown.peek(KEY)
    with pytest.raises(StorageUnavailable):
        await shown.get("another.webp")


async def test_memory_is_bounded_and_the_latest_objects_stay(store):
    shown = ObjectCache(store, 3 * (1000 + OVERHEAD_BYTES), 60)
    for name in "abcd":
        await store.put(name, bytes(1000), WEBP)
    for name in "abcacd":
        await shown.get(name)
    assert [name for name in "abcd" if shown.peek(name)] == ["a", "c", "d"]
    await store.put("large", bytes(100_000), WEBP)
    assert len((await shown.get("large")).entry.body) == 100_000
    assert [name for name in ("a", "c", "d", "large") if shown.peek(name)] == ["a", "c", "d"]
    assert (await ObjectCache(store, 0, 60).get(KEY)).entry.body == b"image"


async def test_concurrent_fetches_are_limited_and_more_are_refused(store):
    shown = ObjectCache(store, 10_000, 60)
    store.open.clear()
    waiting = [
        asyncio.create_task(shown.get(f"{number}.webp"))
        for number in range(object_cache.MAX_IN_FLIGHT)
    ]
    await asyncio.sleep(0.01)
    with pytest.raises(StorageUnavailable, match="too many"):
        await shown.get(KEY)
    store.open.set()
    assert await asyncio.gather(*waiting) == [None] * object_cache.MAX_IN_FLIGHT
    assert store.most_inside == object_cache.MAX_FETCHES
    assert await shown.get(KEY)


async def test_a_fetch_has_a_timeout(store, monkeypatch):
    monkeypatch.setattr(object_cache, "FETCH_SECONDS", 0.05)
    shown = ObjectCache(store, 10_000, 60)
    store.open.clear()
    with pytest.raises(StorageUnavailable, match="no response"):
        await shown.get(KEY)
    store.open.set()
    await asyncio.sleep(0.01)
    assert shown.peek(KEY)


async def test_a_removed_object_is_not_shown_even_if_the_store_has_it(store):
    shown = ObjectCache(store, 10_000, 60)
    other = KEY.replace("/1/", "/2/")
    await store.put(other, b"image", WEBP)
    assert await shown.get(KEY)
    assert await shown.get(other)
    shown.remove("courses/1/")
    assert shown.peek(KEY) is None
    assert await shown.get(KEY) is None
    assert shown.peek(other)


async def test_an_object_removed_during_its_fetch_is_not_cached(store):
    shown = ObjectCache(store, 10_000, 60)
    store.open.clear()
    fetching = asyncio.create_task(shown.get(KEY))
    await asyncio.sleep(0)
    shown.remove("courses/1/")
    store.open.set()
    assert await fetching is None
    assert shown.peek(KEY) is None


async def test_the_memory_of_removals_is_bounded(store, monkeypatch):
    monkeypatch.setattr(object_cache, "MAX_REMOVED", 2)
    shown = ObjectCache(store, 10_000, 60)
    for course in (1, 2, 3):
        shown.remove(f"courses/{course}/")
    assert await shown.get(KEY)
