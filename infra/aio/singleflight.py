"""One call at a time for each key; concurrent callers share its result."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """The calls in flight, by key. The cancellation of a caller cancels no call."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return the result of the call in flight for the key, or of `work`, which is started then.

        Raises whatever `work` raises.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(work())
            flight.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(flight)

    def invalidate(self, is_old: Callable[[K], bool]) -> None:
        """Let later callers of these keys start a new call."""
        for key in [key for key in self._flights if is_old(key)]:
            del self._flights[key]

    def _land(self, key: K, done: asyncio.Task[V]) -> None:
        if self._flights.get(key) is done:
            del self._flights[key]
        # Its callers may be gone when it fails.
        if not done.cancelled():
            done.exception()
