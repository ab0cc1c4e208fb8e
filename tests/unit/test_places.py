"""So much at once, and what becomes of those that find no place."""

import asyncio

import pytest

from infra.aio.places import NoPlace, Places


async def _hold(places, seconds, inside):
    async with places.place():
        inside.append(1)
        await asyncio.sleep(seconds)


async def test_only_so_many_blocks_run_at_once():
    places, inside = Places(2, 10.0), []
    tasks = [asyncio.create_task(_hold(places, 0.05, inside)) for _ in range(4)]
    await asyncio.sleep(0.02)
    assert len(inside) == 2
    await asyncio.gather(*tasks)
    assert len(inside) == 4


async def test_a_block_without_a_place_is_refused():
    places, inside = Places(1, 0.02), []
    holding = asyncio.create_task(_hold(places, 0.2, inside))
    await asyncio.sleep(0)
    with pytest.raises(NoPlace):
        await _hold(places, 0, inside)
    await holding
    await _hold(places, 0, inside)


async def test_or_goes_on_without_and_takes_no_place_of_others():
    places, inside = Places(1, 0.02, is_soft=True), []
    holding = asyncio.create_task(_hold(places, 0.1, inside))
    await asyncio.sleep(0)
    await _hold(places, 0, inside)
    assert not holding.done()
    await holding
    first = asyncio.create_task(_hold(places, 0.01, inside))
    await asyncio.sleep(0)
    await _hold(places, 0, inside)
    assert first.done()
