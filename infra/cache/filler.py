"""Fills entries that memory lacks, from the second level or by `make`, with bounded concurrency."""

import asyncio
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass, fields, replace
from typing import Any

from infra.aio.places import NoPlace, Places
from infra.cache.entry import Entry, Key, Make
from infra.cache.level import CacheDown, SecondLevel
from infra.db.history import History
from infra.db.trust import Trust
from infra.errors import SelfDescribed
from infra.observability import logs
from infra.observability.events import Event

TTL_SECONDS = 300.0
JITTER = 0.1
# Longer than any fill; bounds how long a dead process keeps the lock.
LOCK_SECONDS = 2.0
# How long a process waits for the fill of another process, and the bounds of its poll interval.
FILL_WAIT_SECONDS = 0.3
LOOK_SECONDS, LOOK_SECONDS_MOST = 0.002, 0.016
# The concurrent fills of a process, and how long a fill waits for a place. Then a common fill goes
# on without one, since common entries are few; a fill of the long tail is refused.
FILLS, PLACE_SECONDS = 3, 0.3
LONG_TAIL_FILLS, LONG_TAIL_PLACE_SECONDS = 2, 2.0

log = logs.get_logger(__name__)


class TooManyFills(SelfDescribed, TimeoutError):
    """Too many rare pages are asked for at once; try again soon"""


@dataclass(slots=True)
class Counts:
    """Responses by tier since the start, failures of the second level, and writes published."""

    memory: int = 0
    redis: int = 0
    database: int = 0
    stale: int = 0
    errors: int = 0
    invalidations: int = 0

    def add(self, tier: str, entry: Entry) -> Entry:
        """Count a response of a tier, or as stale if it may be old; return it."""
        counted = tier if entry.stale_seconds is None else "stale"
        setattr(self, counted, getattr(self, counted) + 1)
        return entry

    def take(self) -> "Counts":
        """Return a copy, and begin again."""
        taken = replace(self)
        for each in fields(self):
            setattr(self, each.name, 0)
        return taken


class Filler:
    """The fills of one process."""

    def __init__(self, level: SecondLevel, history: History, trust: Trust) -> None:
        self.counts = Counts()
        self._level = level
        self._history = history
        self._trust = trust
        self._common = Places(FILLS, PLACE_SECONDS, is_soft=True)
        self._long_tail = Places(LONG_TAIL_FILLS, LONG_TAIL_PLACE_SECONDS)
        self.background: set[asyncio.Task[None]] = set()

    async def fill(self, key: Key, make: Make) -> Entry:
        """Return the entry from the second level, or from `make`.

        Raises:
            TooManyFills: the entry is in the long tail, and no place was free in time.

        """
        found, lock = await self._look_or_lock(key)
        if found:
            if lock:
                self._spawn(self._level.unlock(lock))
            return self.counts.add("redis", found)
        try:
            made = await self._made(key, make)
        except BaseException:
            if lock:
                self._spawn(self._level.unlock(lock))
            raise
        self._spawn(self._share(key, made, lock))
        return self.counts.add("database", made)

    def is_outdated(self, key: Key, entry: Entry) -> bool:
        """Return whether a known change outdates the entry."""
        return self._history.is_outdated(entry.version, key.subject, entry.body)

    def failed(self, error: CacheDown) -> None:
        """Count a failure of the second level, if there is one."""
        self.counts.errors += self._level.exists
        log.debug(Event.CACHE_FAILED, error=str(error))

    async def _stored(self, key: Key) -> Entry | None:
        packed = None if self._trust.is_gone else await self._level.get(key.name)
        if packed is None:
            return None
        entry, history = Entry.unpacked(packed), self._history
        if not history.covers(entry.version) and entry.version > (history.version or 0):
            await self._trust.wait()
        is_current = history.covers(entry.version) and not self.is_outdated(key, entry)
        return entry.aged(self._trust.stale_seconds) if is_current else None

    async def _look_or_lock(self, key: Key) -> tuple[Entry | None, str | None]:
        """Return the entry of the second level, and the lock on its fill if this process has it.

        While another process has the lock, wait for its fill.
        """
        held = None
        # A new change makes a new lock: another process may still fill the older version.
        lock = f"{key.name}@{self._history.floor(key.subject)}"
        try:
            entry = await self._stored(key)
            if entry is None and key.lock_on_fill and await self._level.lock(lock, LOCK_SECONDS):
                held = lock
            deadline, pause = time.monotonic() + FILL_WAIT_SECONDS, LOOK_SECONDS
            while key.lock_on_fill and not (entry or held) and time.monotonic() < deadline:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LOOK_SECONDS_MOST)
                if await self._level.lock(lock, LOCK_SECONDS):
                    held = lock
                entry = await self._stored(key)
        except CacheDown as error:
            self.failed(error)
            return None, held
        return entry, held

    async def _made(self, key: Key, make: Make) -> Entry:
        if key.limits_itself:
            return await make()
        try:
            async with (self._long_tail if key.long_tail else self._common).place():
                return await make()
        except NoPlace:
            raise TooManyFills from None

    async def _share(self, key: Key, entry: Entry, lock: str | None) -> None:
        if not entry.no_store and not self.is_outdated(key, entry):
            try:
                await self._level.put(key.name, entry.packed(), ttl_with_jitter())
            except CacheDown as error:
                self.failed(error)
        if lock:
            await self._level.unlock(lock)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)


def ttl_with_jitter() -> float:
    """Return an entry's lifetime, with jitter so that entries do not expire together."""
    return TTL_SECONDS * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret
