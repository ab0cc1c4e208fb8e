"""A busy event loop does not blame a server for its own lateness."""

import asyncio
import time

import pytest

from infra.aio.timeouts import timeout_with_grace


async def test_a_call_without_an_answer_ends_in_time():
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with timeout_with_grace(0.05):
            await asyncio.sleep(30)
    assert time.monotonic() - started < 5


async def test_an_answer_that_came_while_we_were_busy_is_taken():
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    async with timeout_with_grace(0.05):
        loop.call_soon(time.sleep, 0.1)
        loop.call_later(0.06, lambda: loop.call_soon(answer.set_result, "answer"))
        assert await answer == "answer"


async def test_lateness_is_no_excuse_for_ever():
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with timeout_with_grace(0.05):
            loop.call_soon(time.sleep, 0.1)
            await asyncio.sleep(30)


async def test_nothing_ends_after_the_block():
    async with timeout_with_grace(0.01):
        pass
    await asyncio.sleep(0.05)
