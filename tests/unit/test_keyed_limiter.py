"""The keyed limiter: concurrency per key, order, and timeouts."""

import asyncio

import pytest

from services.enrollments.limiter import CourseBusy, KeyedLimiter


class HeldWork:
    """Work that holds a slot until it is released, and records who runs."""

    def __init__(self, limiter):
        self.limiter = limiter
        self.inside = []
        self.go_on = asyncio.Event()

    def start(self, key, name=None):
        return asyncio.create_task(self.work(key, name))

    async def work(self, key, name):
        async with self.limiter.hold(key):
            self.inside.append(name or key)
            await self.go_on.wait()
            self.inside.remove(name or key)


async def _settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_key_has_its_limit_and_leaves_a_slot_for_each_other_key():
    held = HeldWork(KeyedLimiter(3))
    tasks = [held.start(key) for key in "aaaaabbcd"]
    await _settle()
    assert held.inside == ["a", "a", "a", "b", "c", "d"]
    held.go_on.set()
    await asyncio.gather(*tasks)
    assert held.inside == []


async def test_keys_take_turns_at_the_shared_slots():
    limiter, order = KeyedLimiter(2), []

    async def run_once(key):
        async with limiter.hold(key):
            order.append(key)
            for _ in range(3):
                await asyncio.sleep(0)

    await asyncio.gather(*(run_once(key) for key in "aaaaaaaabbbb"))
    # Three slots: while both keys have waiters, each of them has at least one.
    assert order[:3] == ["a", "a", "b"]
    assert "bb" not in "".join(order[3:8])
    assert sorted(order) == sorted("aaaaaaaabbbb")
    assert limiter.keys == 0


async def test_waiters_of_a_key_are_served_in_order():
    held, order = HeldWork(KeyedLimiter(1)), []
    held.go_on.set()

    async def run_once(name):
        async with held.limiter.hold("a"):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(run_once(number) for number in range(20)))
    assert order == list(range(20))


async def test_a_waiter_that_times_out_raises_and_takes_no_slot():
    held = HeldWork(KeyedLimiter(1, wait_seconds=0.01))
    first = held.start("a")
    await _settle()
    with pytest.raises(CourseBusy, match="Too many are enrolling"):
        await held.work("a", "late")
    held.go_on.set()
    await first
    await held.work("a", "next")


async def test_a_cancelled_or_failed_caller_frees_its_slot_for_the_next():
    held = HeldWork(KeyedLimiter(1))
    first, second, third = (held.start("a", name) for name in (1, 2, 3))
    await _settle()
    second.cancel()
    first.cancel()
    await _settle()
    assert held.inside == [1, 3]  # 1 was cancelled while it ran, before it could release its slot
    third.cancel()
    await _settle()
    assert held.limiter.keys == 0
    with pytest.raises(ZeroDivisionError):
        async with held.limiter.hold("a"):
            raise ZeroDivisionError
    async with asyncio.timeout(1), held.limiter.hold("a"):
        pass


async def test_a_slot_that_is_passed_to_a_cancelled_waiter_goes_to_the_next():
    held = HeldWork(KeyedLimiter(1))
    first, second, third = (held.start("a", number) for number in (1, 2, 3))
    await _settle()
    first.cancel()
    second.cancel()
    await _settle()
    assert held.inside == [1, 3]  # 1 was cancelled inside, before it could leave the list
    held.go_on.set()
    await third
    assert held.limiter.keys == 0


async def test_an_idle_key_is_forgotten():
    limiter = KeyedLimiter(1)
    async with limiter.hold("a"):
        assert limiter.keys == 1
    assert limiter.keys == 0
