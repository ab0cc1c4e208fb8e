"""What probes ask of the database.

Statements go over a connection that nobody else takes; whether the pool of the requests gives
connections out, only that pool can tell.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tortoise import BaseDBAsyncClient

from infra.cache import ResponseCache
from infra.db import engine
from infra.queue.liveness import is_relay_alive
from infra.storage import Storage

T = TypeVar("T")


@dataclass(frozen=True)
class Parts:
    """Which parts of the service are connected; `tasks`: some relay reaches the broker."""

    database: bool
    redis: bool
    storage: bool
    tasks: bool


class HealthQueries:
    """The questions, each asked once for all who want to know at the same time."""

    def __init__(self, source: BaseDBAsyncClient) -> None:
        self.is_connected = SingleFlight(lambda: _serves(source))
        self.is_relay_alive = SingleFlight(lambda: is_relay_alive(source))

    async def parts(self, cache: ResponseCache, storage: Storage) -> Parts:
        """Check all parts; without the database nothing is known of the tasks."""
        is_connected = await self.is_connected()
        redis, stored, carried = await asyncio.gather(
            cache.is_connected(),
            storage.is_connected(),
            self.is_relay_alive() if is_connected else asyncio.sleep(0, result=False),
        )
        return Parts(is_connected, redis, stored, carried)


async def _serves(source: BaseDBAsyncClient) -> bool:
    return await engine.is_connected(source) and await engine.leases_connections()


class SingleFlight(Generic[T]):
    """A question whose answer all get who come while it is under way.

    Who comes first asks it, without a task of its own: where many enrol at once, each turn of the
    event loop that a probe has to wait for is some milliseconds.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._answer: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        """Ask, unless it is being asked, and return the answer; raises what asking raises."""
        while (answer := self._answer) is not None:
            await asyncio.wait({answer})
            if not answer.cancelled():
                return answer.result()
        answer = self._answer = asyncio.get_running_loop().create_future()
        try:
            answer.set_result(await self._ask())
        except Exception as error:  # noqa: BLE001  told to all who wait, and raised below
            answer.set_exception(error)
        finally:
            # Who asks may hang up: one of those who wait asks in its place.
            answer.cancel()
            self._answer = None
        return answer.result()
