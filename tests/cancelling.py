"""Cancels a coroutine at each of its suspensions in turn."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress


class _CancelledAt(Coroutine):
    """A coroutine whose task is cancelled at its n-th suspension."""

    def __init__(self, work: Coroutine, number: int, *, insists: bool) -> None:
        self.suspensions = 0
        self._work = work
        self._number = number
        self._insists = insists

    def send(self, value):
        return self._suspended(self._work.send(value))

    def throw(self, *error):
        return self._suspended(self._work.throw(*error))

    def close(self):
        self._work.close()

    def __await__(self):
        return self._work.__await__()

    def _suspended(self, future):
        self.suspensions += 1
        late = self._insists and self.suspensions > self._number
        if self.suspensions == self._number or late:
            loop = asyncio.get_running_loop()
            loop.call_soon(asyncio.current_task().cancel)
        return future


async def each_cancellation(make, *, insists=False):
    """Run `make()` repeatedly, each time cancelled one suspension later, until it ends before that.

    Yields the number of the suspension after each run. `insists` also cancels at all later
    suspensions.
    """
    number = 0
    while True:
        number += 1
        work = _CancelledAt(make(), number, insists=insists)
        task = asyncio.get_running_loop().create_task(work)
        with suppress(asyncio.CancelledError):
            await task
        yield number
        if work.suspensions < number:
            return
