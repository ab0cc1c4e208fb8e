"""Bounds concurrent searches: in each process, and in the database over all processes.

A search may read all courses. A search that gets no slot in time is refused, so that all other
calls keep connections and processors.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.aio.places import NoPlace, Places
from services.errors import SwitchedOff, Unavailable

# The slots of the database, for all processes of all instances; a search keeps a processor busy.
SLOTS = 1
SLOT_LOCK = 0x53454152  # "SEAR": with the slot's number, a lock that only searches take
WAIT_SECONDS = 2.0
RUN_SECONDS = 5.0
LOOK_SECONDS, LOOK_SECONDS_MOST = 0.002, 0.03

T = TypeVar("T")


class SearchesBusy(Unavailable):
    """Too many searches are running at once; try again soon"""


class SearchesOff(SwitchedOff):
    """Searches are switched off for now; lists and courses are shown"""


class SearchSlots:
    """The slots of one process; each search also takes a slot of the database while it runs."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait = wait_seconds
        # Not more than the database has slots, so that waiting searches send it no statements.
        self._places = Places(SLOTS, wait_seconds)

    async def run(self, search: Callable[[], Awaitable[T | None]]) -> T:
        """Return the result of the search; repeat it while its result is None: no slot was free.

        Raises:
            SearchesBusy: no slot was free in time, or the search took too long.

        """
        deadline = time.monotonic() + self._wait
        try:
            async with self._places.place():
                return await self._in_turn(search, deadline)
        except NoPlace:
            raise SearchesBusy from None

    async def _in_turn(self, search: Callable[[], Awaitable[T | None]], deadline: float) -> T:
        pause = LOOK_SECONDS
        while (found := await _bounded(search)) is None:
            if time.monotonic() > deadline:
                raise SearchesBusy
            # Jitter, so that processes do not collide again.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  no secret
            pause = min(2 * pause, LOOK_SECONDS_MOST)
        return found


async def _bounded(search: Callable[[], Awaitable[T]]) -> T:
    bound = asyncio.timeout(RUN_SECONDS)
    try:
        async with bound:
            return await search()
    except TimeoutError:
        # The search may raise a TimeoutError of its own, such as that of an exhausted pool.
        if bound.expired():
            raise SearchesBusy from None
        raise
