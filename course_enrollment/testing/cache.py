"""The contract of second levels of the cache."""

import asyncio

from infra.cache import Entry, Page, SecondLevel


class CacheContract:
    """Every second level passes these; the fixture `level` returns one that is empty."""

    async def test_what_is_stored_comes_back_whole(self, level: SecondLevel) -> None:
        page = Page(3, 10, "search=%C3%BC&sort=title")
        for entry in (
            Entry.of(b'["one"]', 1, version=1 << 60),
            Entry.of(b"", 0),
            Entry.of(b"{}", 7, page, version=5),
            Entry.of("ü\n".encode() * 100_000),
        ):
            await level.put("name", entry.packed(), 60)
            packed = await level.get("name")
            assert packed is not None
            found = Entry.unpacked(packed)
            assert found is not None
            assert (found.body, found.digest, found.total) == (
                entry.body,
                entry.digest,
                entry.total,
            )
            assert (found.page, found.version) == (entry.page, entry.version)

    async def test_an_entry_ends_with_its_time(self, level: SecondLevel) -> None:
        assert await level.get("name") is None
        await level.put("name", b"packed", 0.02)
        await asyncio.sleep(0.03)
        assert await level.get("name") is None

    async def test_one_of_many_has_a_lock_until_it_unlocks_or_its_time_is_over(
        self, level: SecondLevel
    ) -> None:
        assert sum(await asyncio.gather(*(level.lock("a", 60) for _ in range(10)))) == 1
        assert await level.lock("b", 0.02)
        await level.unlock("a")
        await asyncio.sleep(0.03)
        assert [await level.lock(name, 60) for name in "aab"] == [True, False, True]

    async def test_it_knows_what_is_read_most(self, level: SecondLevel) -> None:
        await level.count({"a": 5, "b": 2})
        await level.count({"b": 10, "c": 1})
        assert await level.top(2) == ["b", "a"]
        assert await level.top(9) == ["b", "a", "c"]
        assert await level.top(0) == []

    async def test_it_answers_many_callers(self, level: SecondLevel) -> None:
        assert all(await asyncio.gather(*(level.is_connected() for _ in range(100))))

    async def test_it_can_be_closed_twice_and_used_in_between(self, level: SecondLevel) -> None:
        await level.close()
        await level.is_connected()
        await level.close()
        await level.close()
