"""Concurrent probes share one query; later probes start another."""

import asyncio

from api.health import SingleFlight


async def test_concurrent_callers_share_a_run_and_later_callers_start_another():
    runs = []

    async def query():
        runs.append(len(runs))
        await asyncio.sleep(0.01)
        return len(runs)

    single_flight = SingleFlight(query)
    assert await asyncio.gather(*(single_flight() for _ in range(100))) == [1] * 100
    assert await single_flight() == 2
    assert runs == [0, 1]


async def test_a_cancelled_caller_does_not_cancel_the_others():
    runs = 0

    async def query():
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)
        return "connected"

    single_flight = SingleFlight(query)
    cancelled, *others = [asyncio.ensure_future(single_flight()) for _ in range(10)]
    await asyncio.sleep(0.01)
    cancelled.cancel()
    assert await asyncio.gather(*others) == ["connected"] * 9
    assert runs == 2


async def test_an_error_reaches_all_callers():
    async def query():
        await asyncio.sleep(0.01)
        raise ConnectionError("away")

    single_flight = SingleFlight(query)
    errors = await asyncio.gather(*(single_flight() for _ in range(3)), return_exceptions=True)
    assert [repr(error) for error in errors] == ["ConnectionError('away')"] * 3
