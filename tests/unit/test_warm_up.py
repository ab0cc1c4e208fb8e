"""What a server process does when what is read most can't be taken into memory at once."""

from __future__ import annotations

from types import SimpleNamespace

from api.lifespan import warm_up


class Cache:
    """Tells twice what is wanted: all was lost in between."""

    async def wanted(self, number):
        for name in ("first", "second"):
            yield [f"{name} of {number}"]


async def test_what_could_not_be_warmed_is_tried_again(monkeypatch):
    tried = []

    async def warm(_cache, names, _url_of):
        tried.extend(names)
        if len(tried) == 1:
            raise OSError("the database is away")
        return len(names)

    monkeypatch.setattr("api.lifespan.read.warm", warm)
    monkeypatch.setattr("api.lifespan.WARM_AGAIN_SECONDS", 0.0)
    settings = SimpleNamespace(cache_warm_responses=7)
    storage = SimpleNamespace(url=str)
    await warm_up(SimpleNamespace(cache=Cache(), settings=settings, storage=storage))
    assert tried == ["first of 7", "first of 7", "second of 7"]
