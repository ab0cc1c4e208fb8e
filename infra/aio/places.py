"""A bound on concurrent blocks, with a bounded wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NoPlace(Exception):
    """No place was free in time"""


class Places:
    """`number` places; with `is_soft` a block that gets none in time runs without one."""

    def __init__(self, number: int, wait_seconds: float, *, is_soft: bool = False) -> None:
        self._free = asyncio.Semaphore(number)
        self._wait = wait_seconds
        self._is_soft = is_soft

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block.

        Raises:
            NoPlace: none was free in time.

        """
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        except TimeoutError:
            if not self._is_soft:
                raise NoPlace from None
            yield
            return
        try:
            yield
        finally:
            self._free.release()
