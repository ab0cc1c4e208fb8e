"""The store on Redis or Valkey, 7 or newer; its errors end here, as `CacheAway`."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from infra.cache import version
from infra.cache.entry import Entry, Key, id_of, is_masked, parted
from infra.cache.link import RedisLink
from infra.cache.patience import patience
from infra.cache.store import (
    MARK_SECONDS,
    PROMISE_SECONDS,
    TURN_SECONDS,
    VERSION_SECONDS,
    CacheAway,
    Found,
    Fresh,
    Link,
    Listener,
    Shape,
    Turn,
)

# A read can do without the cache, but not all of them at once: where everything is slow, to give
# up sooner would send to the database what a busy machine has just kept waiting.
TIMEOUT_SECONDS = 0.2
# Some megabytes on their way: who hands them over has made them for longer than this.
HAND_OVER_SECONDS = 0.5
# For those who ask whether it is there at all.
HEALTH_SECONDS = 1.0
MAX_CONNECTIONS = 20
# Of answers that are fetched to see whether they hold: some hundred kilobytes.
KEYS_AT_ONCE = 50
# Names that count: more would only be a list of what is read once.
MAX_COUNTED = 2000
# Each hour's count weighs half of the next one's: what was popular last week is not.
HALF_LIFE_SECONDS = 3600
# What is written below versions: which, and the line.
Notes = Sequence[tuple[str, bytes]]
_AWAY = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)


class RedisStore:
    """A pool that waits for a free connection, a bounded time, instead of raising at its limit.

    `shape` tells apart answers that must not be mixed: of another release or database. All keys
    are below the server's run id: what a restored snapshot or another server holds is of another
    time.
    """

    def __init__(self, url: str, shape: Shape) -> None:
        options = {
            "socket_timeout": HEALTH_SECONDS,
            "socket_connect_timeout": HEALTH_SECONDS,
            # One try: the pool's idle connections are looked at before they are used anyway.
            "retry": Retry(NoBackoff(), 0),
        }
        self._pool = BlockingConnectionPool.from_url(
            url, max_connections=MAX_CONNECTIONS, timeout=HEALTH_SECONDS, **options
        )
        # Bytes come back as they went; its own types allow for clients that decode.
        self._redis: Any = Redis(connection_pool=self._pool)
        self._link_pool = ConnectionPool.from_url(url, protocol=2, **options)
        self._ask_shape = shape
        self._shape: str | None = None
        self._namespace = ""

    async def attach(self) -> None:
        """Learn the shape, and which server answers now."""
        await self.learn_shape()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                server = await self._redis.info("server")
        except _AWAY as error:
            raise CacheAway(repr(error)) from error
        self.attach_to(str(server["run_id"]))

    async def learn_shape(self) -> None:
        """Ask for the shape, once; before it is known no server is used."""
        if self._shape is None:
            try:
                self._shape = await self._ask_shape()
            except Exception as error:
                raise CacheAway("the shape of the answers can't be known") from error

    def attach_to(self, run_id: str) -> None:
        """Use the keys of this life of the server."""
        self._namespace = f"enroll:{run_id[:16]}:"

    @property
    def bell_prefix(self) -> str:
        """What the names of all keys start with that are written to be heard of."""
        return f"{self._namespace}b:"

    async def read(self, key: Key) -> Found:
        """Return version and answer; one round trip."""
        async with self._call():
            stored = await self._redis.mget(self._version(key.topic), self._answer(key))
        return _found(key, stored)

    async def lacking(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of the keys of which there is no answer; some dozens in a round trip."""
        lacking = []
        for first in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[first : first + KEYS_AT_ONCE]
            async with self._call():
                pipeline = self._redis.pipeline(transaction=False)
                for key in some:
                    pipeline.mget(self._version(key.topic), self._answer(key))
                stored = await pipeline.execute()
            found = map(_found, some, stored)
            lacking += [key for key, each in zip(some, found, strict=True) if each.entry is None]
        return lacking

    async def begin(self, key: Key, made_under: bytes | None) -> Turn:
        """Make the version if there is none, and ask for the turn to fill if that is slow."""
        async with self._call():
            if made_under is None:
                made = version.line()
                standing = await self._redis.set(
                    self._version(key.topic), made, nx=True, get=True, ex=VERSION_SECONDS
                )
                made_under = version.token(standing or made)
            # Whoever made the version asks, too: after a restart all others come at once.
            is_ours = not key.slow or await self._redis.set(
                self._turn(key, made_under), 1, nx=True, px=int(TURN_SECONDS * 1000)
            )
        return Turn(made_under, is_ours=bool(is_ours))

    async def release(self, key: Key, made_under: bytes) -> None:
        """Let the turn go."""
        async with self._call():
            await self._redis.delete(self._turn(key, made_under))

    async def write(self, key: Key, made_under: bytes, entry: Entry, seconds: float) -> None:
        """Store an answer under its version, and let the turn go."""
        async with self._call():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(self._answer(key), made_under + entry.packed(), px=int(seconds * 1000))
            if key.slow:
                pipeline.delete(self._turn(key, made_under))
            await pipeline.execute()

    async def lines(self, topics: Sequence[str]) -> dict[str, bytes | None]:
        """Return what the versions of topics are."""
        async with self._call():
            found = await self._redis.mget([self._version(topic) for topic in topics])
        return dict(zip(topics, found, strict=True))

    async def renew(
        self, topics: Collection[str], mark: str = "", fresh: Fresh | None = None
    ) -> None:
        """Give topics new versions; one round trip, with fresh answers three."""
        if fresh and await self._hand_over(topics, mark, fresh):
            return
        async with self._call():
            pipeline = self._redis.pipeline(transaction=False)
            notes = self._renew(pipeline, _lines(topics), mark)
            await self._trim(notes, await pipeline.execute())

    async def _hand_over(self, topics: Collection[str], mark: str, fresh: Fresh) -> bool:
        """Renew with answers under the new versions; tell whether the old ones were still there."""
        lines = _lines(topics)
        tokens = {parted(topic)[0]: version.token(line) for topic, line in lines.items()}
        names = [self._version(topic) for topic in fresh.since]
        async with self._call(HAND_OVER_SECONDS), self._redis.pipeline() as pipeline:
            await pipeline.watch(*names)
            if await pipeline.mget(names) != list(fresh.since.values()):
                return False
            pipeline.multi()
            notes = self._renew(pipeline, lines, mark)
            for key, entry, seconds in fresh.entries:
                packed = tokens[key.topic] + entry.packed()
                pipeline.set(self._answer(key), packed, px=int(seconds * 1000))
            try:
                done = await pipeline.execute()
            except WatchError:
                return False
            await self._trim(notes, done)
        return True

    async def promise(self, mark: str) -> None:
        """Say that this mark will be left by a renewal, soon or not at all."""
        async with self._call():
            await self._redis.set(self._promise(mark), b"", px=int(PROMISE_SECONDS * 1000))

    async def is_promised(self, mark: str) -> bool:
        """Tell whether this mark may still be left."""
        async with self._call():
            return bool(await self._redis.exists(self._promise(mark)))

    async def touch(self, topic: str, listings: Collection[str], mark: str = "") -> None:
        """Give a thing a new version, and note beside the listings' that it was touched."""
        notes = [(listing, version.line(id_of(topic))) for listing in listings]
        async with self._call():
            # In this order: whoever hears of the thing finds it noted.
            pipeline = self._redis.pipeline(transaction=False)
            self._note(pipeline, notes)
            self._renew(pipeline, {topic: version.line()}, mark)
            await self._trim(notes, await pipeline.execute())

    async def is_marked(self, mark: str) -> bool:
        """Tell whether this mark was left not long ago."""
        async with self._call():
            return bool(await self._redis.exists(self._mark(mark)))

    async def count(self, reads: Mapping[str, int]) -> None:
        """Add the reads to this hour's count, which weighs twice the one of the hour before."""
        async with self._call():
            seconds, _ = await self._redis.time()
            weight = 2.0 ** (seconds / HALF_LIFE_SECONDS % 512)
            pipeline = self._redis.pipeline(transaction=False)
            for name, number in reads.items():
                pipeline.zincrby(self._counts, number * weight, name)
            pipeline.zremrangebyrank(self._counts, 0, -MAX_COUNTED - 1)
            await pipeline.execute()

    async def top(self, number: int) -> list[str]:
        """Return the names that are read most."""
        if number < 1:
            return []
        async with self._call():
            names = await self._redis.zrevrange(self._counts, 0, number - 1)
        return [name.decode() for name in names]

    def link(self, listener: Listener) -> Link:
        """Return the wire on which new versions are heard of."""
        return RedisLink(self._link_pool, self, listener)

    async def is_connected(self) -> bool:
        """Tell whether Redis answers within a second."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                return bool(await self._redis.ping())
        except _AWAY:
            return False

    async def close(self) -> None:
        """Close the pools."""
        await self._redis.aclose()
        await self._pool.disconnect()
        await self._link_pool.disconnect()

    @property
    def _counts(self) -> str:
        # Not below the run id: what is read most stays so when the server starts again.
        return "enroll:reads"

    def _version(self, topic: str) -> str:
        return f"{self._namespace}v:{topic}"

    def _answer(self, key: Key) -> str:
        return f"{self._namespace}a:{self._shape}:{key.name}"

    def _turn(self, key: Key, made_under: bytes) -> str:
        return f"{self._namespace}t:{made_under.decode()}:{key.name}"

    def _mark(self, mark: str) -> str:
        # Below the shape, which tells the database: others have transactions of this number, too.
        return f"{self._namespace}m:{self._shape}:{mark}"

    def _promise(self, mark: str) -> str:
        return f"{self._namespace}p:{self._shape}:{mark}"

    def _renew(self, pipeline: Any, lines: Mapping[str, bytes], mark: str) -> Notes:
        """Write the lines and ring the bells; return what of it are notes, which come first."""
        notes = [(parted(topic)[0], line) for topic, line in lines.items() if is_masked(topic)]
        self._note(pipeline, notes)
        for topic, line in lines.items():
            if not is_masked(topic):
                pipeline.set(self._version(topic), line, ex=VERSION_SECONDS)
            pipeline.set(self.bell_prefix + topic, b"", ex=VERSION_SECONDS)
        # Last: who finds it can rely on all of the change.
        if mark:
            pipeline.set(self._mark(mark), b"", ex=MARK_SECONDS)
        return notes

    def _note(self, pipeline: Any, notes: Notes) -> None:
        for name, line in notes:
            pipeline.append(self._version(name), line)
        for name in {name for name, _ in notes}:
            pipeline.expire(self._version(name), VERSION_SECONDS)

    async def _trim(self, notes: Notes, done: Sequence[Any]) -> None:
        """Begin those versions anew whose notes, which were written first, became too many."""
        for (name, _), size in zip(notes, done, strict=False):
            if size > version.MAX_BYTES:
                await self._redis.set(self._version(name), version.line(), ex=VERSION_SECONDS)

    @asynccontextmanager
    async def _call(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Bound the wait, and name every failure the same."""
        if not self._namespace:
            raise CacheAway("no server has answered yet")
        try:
            async with patience(seconds or TIMEOUT_SECONDS):
                yield
        except _AWAY as error:
            raise CacheAway(repr(error)) from error


def _lines(topics: Collection[str]) -> dict[str, bytes]:
    return {topic: version.line_of(topic) for topic in topics}


def _found(key: Key, stored: tuple[bytes | None, bytes | None]) -> Found:
    lines, packed = stored
    if lines is None:
        return Found(None, None)
    entry = None
    if packed is not None:
        entry = Entry.unpacked(packed[version.TOKEN_BYTES :])
        if not version.holds(packed[: version.TOKEN_BYTES], lines, entry.body, key):
            entry = None
    return Found(version.token(lines), entry)
