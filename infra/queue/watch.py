"""Watching tasks: one statement of the process reads all the tasks that somebody waits for.

No statement that ends a task notifies: commits with a notification wait for each other.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context
from typing import NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from infra.db.engine import UNUSABLE
from infra.db.sql import rows
from infra.observability import logs
from infra.observability.events import Event
from infra.queue.table import FINAL

TICK_SECONDS = 0.02
# A task is read at each tick, and half as often each time that this time doubles without a change.
EAGER_SECONDS = 0.2
MAX_TICKS = 16

_READ = """
    SELECT id, attempts, state, progress, error,
           CASE WHEN state = 'succeeded' THEN result END AS result
    FROM tasks WHERE id = ANY($1::uuid[])
"""

log = logs.get_logger(__name__)


class Status(NamedTuple):
    """A task as it was read last; `result` is JSON."""

    attempts: int
    state: str
    progress: int
    error: str | None
    result: str | None

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self.state in FINAL


class Watch:
    """A caller's watch of a task; `changed` is set while there is a status that it has not got."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._latest: Status | Exception | None = None
        self._is_read = False

    def see(self, latest: Status | Exception | None) -> None:
        """Take note of what was read, or of what stopped the reading."""
        if not self._is_read or latest != self._latest:
            self._latest, self._is_read = latest, True
            self.changed.set()

    async def next(self) -> Status | None:
        """Wait until the task is not as it was at the last call; None if there is no such task."""
        await self.changed.wait()
        self.changed.clear()
        if isinstance(self._latest, Exception):
            raise self._latest
        return self._latest


class _Watched:
    """A task and its watches; `at` is when it was watched anew, or has changed."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.latest: Status | None = None
        self.at = 0.0


class _Watcher:
    """Reads the tasks that are watched on an event loop, as long as there are any."""

    def __init__(self) -> None:
        self._watched: dict[UUID, _Watched] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_lost = False

    @contextmanager
    def watching(self, task_id: UUID) -> Iterator[Watch]:
        """Watch a task while the block runs."""
        watched, watch = self._watched.setdefault(task_id, _Watched()), Watch()
        watched.at = _now()
        watched.watches.add(watch)
        if self._reading is None:
            # It serves others, too: not in the caller's transaction, nor for its request.
            self._reading = asyncio.create_task(self._read_on(), context=Context())
        try:
            yield watch
        finally:
            watched.watches.discard(watch)
            if not watched.watches:
                self._watched.pop(task_id, None)

    async def _read_on(self) -> None:
        tick = 0
        try:
            while self._watched:
                now = _now()
                await self._read(
                    [
                        task_id
                        for task_id, watched in self._watched.items()
                        if tick % _ticks(now - watched.at) == 0
                    ]
                )
                tick += 1
                await asyncio.sleep(TICK_SECONDS)
        except Exception as error:  # noqa: BLE001  raised by those who wait
            for watched in self._watched.values():
                for watch in watched.watches:
                    watch.see(error)
        finally:
            self._reading = None

    async def _read(self, due: Collection[UUID]) -> None:
        if not due:
            return
        try:
            found = {row.pop("id"): Status(**row) for row in await rows(_READ, list(due))}
        except UNUSABLE as error:
            if not self._is_lost:
                log.warning(Event.FEED_LOST_DATABASE, error=str(error))
            self._is_lost = True
            return
        self._is_lost = False
        for task_id in due:
            if watched := self._watched.get(task_id):
                latest = found.get(task_id)
                if latest != watched.latest:
                    watched.latest, watched.at = latest, _now()
                for watch in watched.watches:
                    watch.see(latest)


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watcher] = WeakKeyDictionary()


def watching(task_id: UUID) -> AbstractContextManager[Watch]:
    """Watch a task while the block runs."""
    return _watchers.setdefault(asyncio.get_running_loop(), _Watcher()).watching(task_id)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _ticks(age: float) -> int:
    return min(MAX_TICKS, 1 << int(age / EAGER_SECONDS).bit_length())
