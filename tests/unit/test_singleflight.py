"""One call in flight a key, whose result all callers share."""

import asyncio

import pytest

from infra.aio.singleflight import SingleFlight


class Work:
    """Returns how often it was called, once it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        await self.go.wait()
        return number


async def _started(*calls):
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_callers_of_a_key_share_one_call_and_others_do_not():
    flights, work = SingleFlight[str, int](), Work()
    tasks = await _started(*(flights.run(key, work) for key in "aaab"))
    work.go.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1, 2]
    assert await flights.run("a", work) == 3


async def test_a_caller_that_leaves_cancels_it_for_no_other():
    flights, work = SingleFlight[str, int](), Work()
    leaving, staying = await _started(flights.run("a", work), flights.run("a", work))
    leaving.cancel()
    work.go.set()
    assert await staying == 1


async def test_a_failure_reaches_all_callers_and_is_not_kept():
    flights = SingleFlight[str, int]()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise LookupError

    found = await asyncio.gather(*(flights.run("a", fail) for _ in "abc"), return_exceptions=True)
    assert [type(each) for each in found] == [LookupError] * 3
    (left,) = await _started(flights.run("a", fail))
    left.cancel()
    await asyncio.sleep(0.01)
    work = Work()
    work.go.set()
    assert await flights.run("a", work) == 1


async def test_later_callers_share_no_call_that_was_invalidated():
    flights, work = SingleFlight[str, int](), Work()
    early = await _started(flights.run("a", work), flights.run("b", work))
    flights.invalidate(lambda key: key == "a")
    late = await _started(*(flights.run(key, work) for key in "aab"))
    work.go.set()
    assert await asyncio.gather(*early) == [1, 2]
    assert await asyncio.gather(*late) == [3, 3, 2]


async def test_the_end_of_an_invalidated_call_leaves_its_successor_in_flight():
    flights, old, new = SingleFlight[str, int](), Work(), Work()
    await _started(flights.run("a", old))
    flights.invalidate(lambda _: True)
    (first,) = await _started(flights.run("a", new))
    old.go.set()
    await asyncio.sleep(0.01)
    (second,) = await _started(flights.run("a", new))
    new.go.set()
    assert (await first, await second, new.calls) == (1, 1, 1)


async def test_a_cancelled_call_is_cancelled_for_all():
    flights = SingleFlight[str, int]()

    async def end() -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await flights.run("a", end)
