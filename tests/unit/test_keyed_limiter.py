"""Turns: how many of a key go at once, in which order, and for how long the others wait."""

import asyncio

import pytest

from services.enrollments.limiter import CourseBusy, KeyedLimiter


class Place:
    """Work that holds a turn until it is let go, and knows who is at it."""

    def __init__(self, turns):
        self.turns = turns
        self.inside = []
        self.go_on = asyncio.Event()

    def start(self, key, who=None):
        return asyncio.create_task(self.work(key, who))

    async def work(self, key, who):
        async with self.turns.hold(key):
            self.inside.append(who or key)
            await self.go_on.wait()
            self.inside.remove(who or key)


async def _settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_key_has_its_limit_and_leaves_the_others_one_each():
    place = Place(KeyedLimiter(3))
    tasks = [place.start(key) for key in "aaaaabbcd"]
    await _settle()
    assert place.inside == ["a", "a", "a", "b", "c", "d"]
    place.go_on.set()
    await asyncio.gather(*tasks)
    assert place.inside == []


async def test_keys_have_the_shared_places_in_turn_and_their_own_for_themselves():
    turns, order = KeyedLimiter(2), []

    async def come(key):
        async with turns.hold(key):
            order.append(key)
            for _ in range(3):
                await asyncio.sleep(0)

    await asyncio.gather(*(come(key) for key in "aaaaaaaabbbb"))
    # Three places: while both keys have somebody waiting, neither is without.
    assert order[:3] == ["a", "a", "b"]
    assert "bb" not in "".join(order[3:8])
    assert sorted(order) == sorted("aaaaaaaabbbb")
    assert turns.keys == 0


async def test_those_who_wait_go_in_the_order_in_which_they_came():
    place, order = Place(KeyedLimiter(1)), []
    place.go_on.set()

    async def come(who):
        async with place.turns.hold("a"):
            order.append(who)
            await asyncio.sleep(0)

    await asyncio.gather(*(come(number) for number in range(20)))
    assert order == list(range(20))


async def test_who_waits_too_long_is_told_so_and_takes_no_place():
    place = Place(KeyedLimiter(1, wait_seconds=0.01))
    first = place.start("a")
    await _settle()
    with pytest.raises(CourseBusy, match="Too many are enrolling"):
        await place.work("a", "late")
    place.go_on.set()
    await first
    await place.work("a", "next")


async def test_who_gives_up_or_fails_leaves_the_place_to_the_next():
    place = Place(KeyedLimiter(1))
    first, second, third = (place.start("a", who) for who in (1, 2, 3))
    await _settle()
    second.cancel()
    first.cancel()
    await _settle()
    assert place.inside == [1, 3]  # 1 was cancelled inside, before it could leave the list
    third.cancel()
    await _settle()
    assert place.turns.keys == 0
    with pytest.raises(ZeroDivisionError):
        async with place.turns.hold("a"):
            raise ZeroDivisionError
    async with asyncio.timeout(1), place.turns.hold("a"):
        pass


async def test_a_key_that_nobody_wants_is_forgotten():
    turns = KeyedLimiter(1)
    async with turns.hold("a"):
        assert turns.keys == 1
    assert turns.keys == 0
