"""How many searches run at once: bounded in each process, and in the database over all processes.

A search may read all courses. The bound holds at all times: a search that gets no slot in time is
refused, and connections and processors are left to all other calls.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.errors import Unavailable

# Of the database, for all processes of all instances: a search keeps one of its processors busy.
SLOTS = 1
SLOT_LOCK = 0x53454152  # "SEAR": with the slot's number, a lock that only searches take
WAIT_SECONDS = 2.0
RUN_SECONDS = 5.0
LOOK_SECONDS, LOOK_SECONDS_MOST = 0.002, 0.03

T = TypeVar("T")


class SearchesBusy(Unavailable):
    """Too many searches are running at once; try again soon"""


class SearchSlots:
    """The slots of one process; a statement takes one of the database's for its own length."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait = wait_seconds
        # No more than could run: the others wait here, and ask the database nothing.
        self._places = asyncio.Semaphore(SLOTS)

    async def run(self, search: Callable[[], Awaitable[T | None]]) -> T:
        """Return what the search returns; None means that all slots of the database are taken.

        Raises:
            SearchesBusy: no slot was free in time, or the search took too long.

        """
        deadline = time.monotonic() + self._wait
        try:
            async with asyncio.timeout(self._wait):
                await self._places.acquire()
        except TimeoutError:
            raise SearchesBusy from None
        try:
            return await self._in_turn(search, deadline)
        finally:
            self._places.release()

    async def _in_turn(self, search: Callable[[], Awaitable[T | None]], deadline: float) -> T:
        pause = LOOK_SECONDS
        while (found := await _bounded(search)) is None:
            if time.monotonic() > deadline:
                raise SearchesBusy
            # At random, or processes that met once would meet again.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  no secret
            pause = min(2 * pause, LOOK_SECONDS_MOST)
        return found


async def _bounded(search: Callable[[], Awaitable[T]]) -> T:
    bound = asyncio.timeout(RUN_SECONDS)
    try:
        async with bound:
            return await search()
    except TimeoutError:
        # A pool without a free connection says so by an error of its own.
        if bound.expired():
            raise SearchesBusy from None
        raise
