"""The cache as the API sees it: this process's memory, the shared store, then whoever can make it.

What it promises: a read that begins after a change was announced in this instance shows it, one in
another instance shows it within a second, whatever becomes of Redis. docs/cache.md says how.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from dataclasses import astuple, dataclass, field, replace
from math import inf
from typing import Any

from infra.cache.entry import Entry, Key, Make, Piece, id_of
from infra.cache.hot import Hot
from infra.cache.link import SURE_SECONDS
from infra.cache.memory import Memory
from infra.cache.shared import Shared
from infra.cache.store import CacheAway, Fresh, Listener, Store, Turn
from infra.observability import logs

LASTING_SECONDS = 300.0
JITTER = 0.1
# How long one process waits for what another one is making, and how often it looks.
WAIT_SECONDS = 0.3
LOOK_SECONDS = 0.001
LOOK_SECONDS_MOST = 0.016
HOUSEKEEPING_SECONDS = 0.25
# How many answers a process makes at once. After a change of all listings everybody asks at the
# same time, and as many queries would take the processor from those who could be answered at once.
# What is common is known by number, so a fill that has waited for a place goes without: the pool of
# connections bounds it. What is rare is endless, and never goes without: it is refused.
MAKERS, MAKERS_OF_RARE = 3, 2
PLACE_SECONDS, PLACE_SECONDS_OF_RARE = 0.3, 2.0
# How many answers a writer makes anew before it announces a change, and how long it goes on: who
# reads gets the old ones meanwhile, and who wrote waits. A query may take as long again.
PREPARED, PREPARE_SECONDS = 100, 0.25
# How often is told what is read, and of how many answers: those read most.
TELL_SECONDS = 5.0
TOLD_AT_ONCE = 500
# Renewed by housekeeping while something is owed; lapses by itself if the process dies.
DISTRUST_SECONDS = 1.0
# How often at most is asked what is wanted, where memory is lost again and again.
LOST_AGAIN_SECONDS = 2.0
# Changes are announced again to a server that comes back: it may have lost the latest.
REPEAT_SECONDS = 10.0
START_SECONDS = 0.3
CLOSE_SECONDS = 0.2
TOPICS_AT_ONCE = 500
# Written whenever a link comes up: a server that takes no writes is of no use.
PROBE = "probe"

log = logs.get_logger(__name__)


class TooManyFills(TimeoutError):
    """Too many rare pages are asked for at once; try again soon"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(slots=True)
class Counts:
    """Since the start: answers by where they came from, what went wrong, what was announced."""

    memory: int = 0
    redis: int = 0
    database: int = 0
    errors: int = 0
    invalidations: int = 0


@dataclass(slots=True, eq=False)
class Flight:
    """One making of an answer, which all who ask for it meanwhile share; old once spoiled."""

    key: Key
    token: int
    began: float = field(default_factory=time.monotonic)
    is_spoiled: bool = False
    task: asyncio.Task[Entry] | None = None


class AnswerCache:
    """One in each server process; `owed` tells which topics have changes still to be announced."""

    def __init__(
        self,
        store: Store,
        *,
        memory_bytes: int,
        shared: Shared | None = None,
        owed: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        self._store = store
        self._shared = shared or Shared()
        self._owed_by_all = owed
        self.memory = Memory(memory_bytes)
        self.hot = Hot(self.memory, self._shared)
        self.counts = Counts()
        self._taken = Counts()
        self._link = store.link(
            Listener(self._come_up, self._be_sure_until, self._hear, self._go_down)
        )
        self._flights: dict[str, Flight] = {}
        self._catching_up = asyncio.Lock()
        # By topic, the number of the change: one that comes while others are announced stays owed.
        self._owed: dict[str, int] = {}
        self._recent: deque[tuple[float, tuple[str, ...]]] = deque()
        self._linked = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._places = {
            False: asyncio.Semaphore(MAKERS),
            True: asyncio.Semaphore(MAKERS_OF_RARE),
        }
        self._background: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect; a cache that is away is waited for a moment only."""
        self._spawn(self._keep_house())
        self._spawn(self._tell_reads())
        if self._link:
            self._spawn(self._link.run())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._linked.wait(), START_SECONDS)

    async def close(self) -> None:
        """Stop, and give the connections back."""
        while self._background:
            for task in self._background:
                task.cancel()
            # Again and again: a `wait_for` of redis-py may swallow a cancellation.
            await asyncio.wait(self._background, timeout=CLOSE_SECONDS)
        await self._store.close()

    async def is_connected(self) -> bool:
        """Tell whether the shared store answers."""
        return await self._store.is_connected()

    async def get(self, key: Key, make: Make) -> Entry:
        """Return the answer; `make` is called at most once for all who ask at the same time.

        Raises whatever `make` raises.
        """
        await self._catch_up()
        slot = self.memory.get(key.name)
        if slot is not None:
            self.counts.memory += 1
            return slot.entry
        flight = self._flights.get(key.name)
        if flight is None or flight.is_spoiled or flight.task is None:
            flight = self._flights[key.name] = Flight(key, self._shared.token)
            flight.task = asyncio.create_task(self._fly(flight, make))
            # Whoever began it may be gone when it fails.
            flight.task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(flight.task)

    async def cut(self, piece: Piece) -> Entry:
        """Return a piece of an answer.

        Raises whatever `make_whole` raises.
        """
        if not self.memory.limit:
            return await self.get(piece.key, piece.make)
        await self._catch_up()
        slot = self.memory.get(piece.key.name)
        if slot is not None:
            self.counts.memory += 1
            return slot.entry
        whole = await self.get(piece.whole, piece.make_whole)
        entry = piece.cut(whole)
        # No longer than the whole, and not if that was not kept: it may be old by now.
        slot = self.memory.get(piece.whole.name)
        if slot is not None and slot.entry is whole:
            self.memory.put(piece.key, entry, slot.expires, piece)
        return entry

    async def changed(self, *topics: str, mark: str = "") -> None:
        """Announce a committed change, before it is answered; what can't be, is owed."""
        await self._tell(topics, self._announce(topics, mark))

    async def touched(self, topic: str, *listings: str, mark: str = "") -> None:
        """Announce a committed touch, before it is answered; if that can't be, a change is owed."""
        await self._tell((*listings, topic), self._store.touch(topic, listings, mark))

    def take_counts(self) -> Counts:
        """Return what was counted since this was asked last."""
        self.counts.memory += self.hot.hits
        self.hot.hits = 0
        taken, self._taken = self._taken, replace(self.counts)
        return Counts(*(n - o for n, o in zip(astuple(self.counts), astuple(taken), strict=True)))

    async def wanted(self, number: int) -> AsyncIterator[list[str]]:
        """Yield the names of what all instances read most, whenever all memory has been lost.

        So at the start, too, and each time as soon as it can be known; never without a server.
        """
        while self._link:
            await self._emptied.wait()
            await self._linked.wait()
            self._emptied.clear()
            try:
                names = await self._store.top(number)
            except CacheAway as error:
                self._failed(error)
                self._emptied.set()
                await asyncio.sleep(HOUSEKEEPING_SECONDS)
                continue
            yield names
            # Where the server comes and goes, the processor is for those who ask.
            await asyncio.sleep(LOST_AGAIN_SECONDS)

    def remember(self, target: bytes, key: Key) -> bool:
        """Let `hot.get(target)` find the answer of this key from now on; tell whether it does."""
        return self.memory.remember(target, key.name)

    async def _fly(self, flight: Flight, make: Make) -> Entry:
        key = flight.key
        try:
            entry, turn = await self._look_up(key)
            if entry is None:
                entry = await self._make(key, turn, make)
                self.counts.database += 1
            if not entry.fleeting:
                self._keep(flight, entry, make)
            return entry
        finally:
            if self._flights.get(key.name) is flight:
                del self._flights[key.name]

    async def _make(self, key: Key, turn: Turn | None, make: Make) -> Entry:
        """Have it made, and share it or let the turn go: others would wait for nothing."""
        try:
            async with self._place(key):
                entry = await make()
        except Exception:
            if turn and turn.is_ours and key.slow:
                self._spawn(self._release(key, turn.version))
            raise
        if turn and not entry.fleeting:
            self._spawn(self._share(key, turn.version, entry))
        return entry

    @asynccontextmanager
    async def _place(self, key: Key) -> AsyncIterator[None]:
        """Hold a place to make an answer in, for the length of the block.

        Raises:
            TooManyFills: the answer is rare, and no place was free in time.

        """
        if key.slotted:
            yield
            return
        places = self._places[key.rare]
        try:
            async with asyncio.timeout(PLACE_SECONDS_OF_RARE if key.rare else PLACE_SECONDS):
                await places.acquire()
        except TimeoutError:
            if key.rare:
                raise TooManyFills from None
            yield
            return
        try:
            yield
        finally:
            places.release()

    async def _look_up(self, key: Key) -> tuple[Entry | None, Turn | None]:
        """Return what the store has; where that is nothing, the turn to make it in."""
        if not self._trusts_store:
            return None, None
        try:
            found = await self._store.read(key)
            if found.entry is None and (found.version is None or key.slow):
                turn = await self._store.begin(key, found.version)
                if not turn.is_ours and (made := await wait_for(self._store, key, turn)):
                    self.counts.redis += 1
                    return made, None
                return None, turn
        except CacheAway as error:
            self._failed(error)
            return None, None
        if found.entry is not None:
            self.counts.redis += 1
        return found.entry, Turn(found.version, is_ours=False) if found.version else None

    async def _share(self, key: Key, version: bytes, entry: Entry) -> None:
        try:
            await self._store.write(key, version, entry, lasting())
        except CacheAway as error:
            self._failed(error)

    async def _release(self, key: Key, version: bytes) -> None:
        try:
            await self._store.release(key, version)
        except CacheAway as error:
            self._failed(error)

    def _keep(self, flight: Flight, entry: Entry, make: Make) -> None:
        if flight.is_spoiled or flight.token != self._shared.token:
            return
        # A server that is slow is heard: until it answers again, nothing is believed anyway.
        hears = self._link is not None and self._link.hears
        seconds = lasting() if hears else SURE_SECONDS
        self.memory.put(flight.key, entry, flight.began + seconds, make)

    @property
    def _trusts_store(self) -> bool:
        return self._link is not None and self._link.is_up and not self._shared.is_distrusted

    async def _catch_up(self) -> None:
        """After a write of this instance, hear of it before anything remembered is believed."""
        while self.hot.seen != self._shared.token:
            async with self._catching_up:
                token = self._shared.token
                if self.hot.seen == token:
                    continue
                self._spoil(self._flights.values())
                heard = self._trusts_store and self._link and await self._link.barrier()
                if not heard:
                    self._forget()
                self.hot.seen = token

    async def _tell(self, topics: tuple[str, ...], telling: Awaitable[None]) -> None:
        self.counts.invalidations += 1
        self._recent.append((time.monotonic(), topics))
        if not await self._succeeds(telling):
            self._owed.update(dict.fromkeys(topics, self.counts.invalidations))
            self._shared.distrust(DISTRUST_SECONDS)
        # After the store, so that who sees the token can also see the version.
        self._shared.renew()

    async def _announce(self, topics: tuple[str, ...], mark: str) -> None:
        fresh = None
        if self._trusts_store and (known := self.memory.about(topics)[:PREPARED]):
            if mark:
                await self._store.promise(mark)
            fresh = await self._prepare(known)
        await self._store.renew(topics, mark, fresh)

    async def _prepare(self, known: Sequence[tuple[Key, Make]]) -> Fresh:
        """Make what is old once the change is announced, which nobody has to wait for then."""
        since = await self._store.lines(sorted({key.topic for key, _ in known}))
        entries: list[tuple[Key, Entry, float]] = []
        until = time.monotonic() + PREPARE_SECONDS
        todo = iter(known)

        async def work() -> None:
            for key, make in todo:
                if time.monotonic() > until:
                    return
                # What can't be made, such as a course that is gone, is for who asks for it.
                with suppress(Exception):
                    entry = await make()
                    if not entry.fleeting:
                        entries.append((key, entry, lasting()))

        with suppress(TimeoutError):
            async with asyncio.timeout(2 * PREPARE_SECONDS):
                await asyncio.gather(*(work() for _ in range(MAKERS)))
        return Fresh(since, entries)

    async def _succeeds(self, telling: Awaitable[None]) -> bool:
        try:
            await telling
        except CacheAway as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: CacheAway) -> None:
        """Do without: the one answer to every failure of the store."""
        self.counts.errors += 1
        log.debug("cache_failed", error=str(error))
        if self._link:
            self._link.suspect()

    async def _come_up(self) -> None:
        """Announce what is owed before the store is believed: it may have slept through it."""
        since = time.monotonic() - REPEAT_SECONDS
        recent = {topic for at, topics in self._recent if at > since for topic in topics}
        owed = dict(self._owed)
        try:
            topics = owed.keys() | recent | set(await self._owed_by_all())
        except Exception as error:
            raise CacheAway("what is owed can't be known") from error
        everything = [PROBE, *in_order(topics)]
        for first in range(0, len(everything), TOPICS_AT_ONCE):
            await self._store.renew(everything[first : first + TOPICS_AT_ONCE])
        self._paid(owed)
        self._forget()

    def _be_sure_until(self, until: float) -> None:
        self.memory.sure_until = until
        self._linked.set()

    def _hear(self, topic: str | None) -> None:
        if topic is None:
            self._forget()
            return
        self.memory.forget(topic)
        if touched := id_of(topic):
            self.memory.forget_showing(touched)
        self._spoil(
            flight
            for flight in self._flights.values()
            if flight.key.is_about(topic) or (touched and flight.key.lists)
        )

    def _go_down(self) -> None:
        self._linked.clear()
        self._forget()
        # What is kept from now on is kept for so short a time that it needs no proof.
        self.memory.sure_until = inf

    def _forget(self) -> None:
        self.memory.clear()
        self._emptied.set()
        self._spoil(self._flights.values())

    def _spoil(self, flights: Iterable[Flight]) -> None:
        for flight in flights:
            flight.is_spoiled = True

    async def _tell_reads(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS * random.uniform(1 - JITTER, 1))  # noqa: S311  no secret
            reads = Counter(self.memory.take_reads()).most_common(TOLD_AT_ONCE)
            if reads and self._trusts_store:
                try:
                    await self._store.count(dict(reads))
                except CacheAway as error:
                    self._failed(error)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            since = time.monotonic() - REPEAT_SECONDS
            while self._recent and self._recent[0][0] < since:
                self._recent.popleft()
            if self._owed:
                self._shared.distrust(DISTRUST_SECONDS)
                owed = dict(self._owed)
                is_up = self._link and self._link.is_up
                if is_up and await self._succeeds(self._store.renew(in_order(owed))):
                    self._paid(owed)

    def _paid(self, owed: dict[str, int]) -> None:
        for topic, number in owed.items():
            if self._owed.get(topic) == number:
                del self._owed[topic]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def wait_for(store: Store, key: Key, turn: Turn) -> Entry | None:
    """Wait a moment for whoever has the turn; None: it took too long, or for nothing."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = LOOK_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(pause)
        pause = min(2 * pause, LOOK_SECONDS_MOST)
        found = await store.read(key)
        if found.version != turn.version:
            return None
        if found.entry is not None:
            return found.entry
    return None


def in_order(topics: Iterable[str]) -> list[str]:
    """Return topics with the listings first: none of theirs is left to be looked through then."""
    return sorted(topics, key=id_of)


def lasting() -> float:
    """Return how long an answer is kept: not the same for all, so that not all end at once."""
    return LASTING_SECONDS * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret
