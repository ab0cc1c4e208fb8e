"""What probes and Prometheus ask of the database, over a connection that nobody else takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from tortoise import BaseDBAsyncClient

from infra import database
from services import task_control, tasks

T = TypeVar("T")


class Monitors:
    """The questions, each asked once for all who want to know at the same time."""

    def __init__(self, source: BaseDBAsyncClient) -> None:
        self.is_connected = Question(lambda: database.is_connected(source))
        self.are_carried = Question(lambda: tasks.are_carried(source))
        self.queues = Question(lambda: task_control.stats(source))


class Question(Generic[T]):
    """A question whose answer all get who come while it is under way."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        """Ask, unless it is being asked, and return the answer."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._asking)
