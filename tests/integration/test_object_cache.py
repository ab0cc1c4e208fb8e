"""What was shown lately, and the store behind it."""

import asyncio
from collections import Counter

import pytest

from infra.storage import StorageUnavailable, object_cache
from infra.storage.memory import MemoryStorage
from infra.storage.object_cache import OVERHEAD_BYTES, ObjectCache

KEY = "courses/1/320.webp"
WEBP = "image/webp"


class Store(MemoryStorage):
    """A store that counts who asks, and waits or breaks when told."""

    def __init__(self):
        super().__init__("/media")
        self.asked = Counter()
        self.fault = None
        self.open = asyncio.Event()
        self.open.set()
        self.inside = self.most_inside = 0

    async def get(self, key):
        self.asked[key] += 1
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


async def test_the_store_is_asked_once(store):
    shown = ObjectCache(store, 10_000, 60)
    assert shown.peek(KEY) is None
    answers = await asyncio.gather(*(shown.get(KEY) for _ in range(20)))
    assert {(each.entry.body, each.content_type) for each in answers} == {(b"image", WEBP)}
    assert shown.peek(KEY) is answers[0] is await shown.get(KEY)
    assert store.asked == {KEY: 1}


async def test_what_is_not_there_is_asked_for_each_time(store):
    shown = ObjectCache(store, 10_000, 60)
    assert await shown.get("no.webp") is None
    await store.put("no.webp", b"now", WEBP)
    assert (await shown.get("no.webp")).entry.body == b"now"


async def test_what_is_removed_is_gone_soon(store):
    shown = ObjectCache(store, 10_000, 0.05)
    first = await shown.get(KEY)
    await asyncio.sleep(0.1)
    # The same bytes keep what was made of them.
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


async def test_without_the_store_what_is_here_is_shown_on(store):
    shown = ObjectCache(store, 10_000, 0.05)
    first = await shown.get(KEY)
    store.fault = StorageUnavailable("away")
    await asyncio.sleep(0.1)
    assert await shown.get(KEY) is first is shown.peek(KEY)
    with pytest.raises(StorageUnavailable):
        await shown.get("another.webp")


async def test_room_is_bounded_and_the_latest_stay(store):
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


async def test_few_ask_at_a_time_and_a_crowd_is_refused(store):
    shown = ObjectCache(store, 10_000, 60)
    store.open.clear()
    waiting = [
        asyncio.create_task(shown.get(f"{number}.webp"))
        for number in range(object_cache.MOST_WAITING)
    ]
    await asyncio.sleep(0.01)
    with pytest.raises(StorageUnavailable, match="too many"):
        await shown.get(KEY)
    store.open.set()
    assert await asyncio.gather(*waiting) == [None] * object_cache.MOST_WAITING
    assert store.most_inside == object_cache.AT_ONCE
    assert await shown.get(KEY)


async def test_nobody_waits_for_ever(store, monkeypatch):
    monkeypatch.setattr(object_cache, "WAIT_SECONDS", 0.05)
    shown = ObjectCache(store, 10_000, 60)
    store.open.clear()
    with pytest.raises(StorageUnavailable, match="no answer"):
        await shown.get(KEY)
    store.open.set()
    await asyncio.sleep(0.01)
    assert shown.peek(KEY)


async def test_what_was_removed_is_shown_no_more_though_the_store_has_it(store):
    shown = ObjectCache(store, 10_000, 60)
    other = KEY.replace("/1/", "/2/")
    await store.put(other, b"image", WEBP)
    assert await shown.get(KEY)
    assert await shown.get(other)
    shown.remove("courses/1/")
    assert shown.peek(KEY) is None
    assert await shown.get(KEY) is None
    assert shown.peek(other)


async def test_what_is_removed_while_it_is_fetched_is_not_kept(store):
    shown = ObjectCache(store, 10_000, 60)
    store.open.clear()
    fetching = asyncio.create_task(shown.get(KEY))
    await asyncio.sleep(0)
    shown.remove("courses/1/")
    store.open.set()
    assert await fetching is None
    assert shown.peek(KEY) is None


async def test_not_all_that_was_ever_removed_is_remembered(store, monkeypatch):
    monkeypatch.setattr(object_cache, "MOST_REMOVED", 2)
    shown = ObjectCache(store, 10_000, 60)
    for course in (1, 2, 3):
        shown.remove(f"courses/{course}/")
    assert await shown.get(KEY)
