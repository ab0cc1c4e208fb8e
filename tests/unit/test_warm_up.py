"""What a server process does when what is read most can't be taken into memory at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from api.lifespan import warm_up
from infra.cache import CacheDown


class Cache:
    """Knows what is read most the second time that it is asked; has been emptied at the start."""

    def __init__(self) -> None:
        self.emptied = asyncio.Event()
        self.emptied.set()
        self.asked = 0

    @property
    def level(self):
        return self

    async def top(self, number):
        self.asked += 1
        if self.asked == 1:
            raise CacheDown
        return [f"{self.asked} of {number}"]


async def test_what_could_not_be_warmed_is_tried_again(monkeypatch):
    tried, cache = [], Cache()

    async def warm(_cache, names, _url_of, *, flags):
        tried.extend(names)
        if len(tried) == 1:
            raise OSError("the database is away")
        return len(names)

    monkeypatch.setattr("api.lifespan.read.warm", warm)
    monkeypatch.setattr("api.lifespan.WARM_AGAIN_SECONDS", 0.0)
    settings = SimpleNamespace(cache_warm_responses=7)
    storage = SimpleNamespace(url=str)
    warming = asyncio.create_task(
        warm_up(SimpleNamespace(cache=cache, settings=settings, storage=storage, flags=None))
    )
    await asyncio.sleep(0.05)
    assert tried == ["2 of 7", "3 of 7"]
    # Memory was emptied again.
    cache.emptied.set()
    await asyncio.sleep(0.05)
    assert tried == ["2 of 7", "3 of 7", "4 of 7"]
    warming.cancel()
