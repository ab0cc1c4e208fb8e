"""The connection on which Redis pushes what has changed (client tracking, broadcast by prefix).

It is asked four times a second whether it still stands. What this process remembers is believed
for less than a second from the last question that was answered, so that a server that froze, a
cable that was cut and a message that was lost all end the same way, and soon.
"""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

from infra.cache.patience import patience
from infra.cache.store import CacheAway, Listener
from infra.observability import logs

if TYPE_CHECKING:
    from infra.cache.redis import RedisStore

BEAT_SECONDS = 0.25
# A change is heard, or what was remembered is not believed any more, within this time.
SURE_SECONDS = 0.8
# So long unanswered, the connection counts as broken: not an overloaded moment, a frozen server.
BROKEN_SECONDS = 0.6
ANSWER_SECONDS = 0.2
RECONNECT_SECONDS = 0.1

# Where Redis publishes what a redirected connection is told.
CHANNEL = "__redis__:invalidate"

log = logs.get_logger(__name__)


class RedisLink:
    """One connection; its questions are answered in order, changes come in between."""

    def __init__(self, pool: ConnectionPool, store: "RedisStore", listener: Listener) -> None:
        self._pool: Any = pool
        self._store = store
        self._listener = listener
        self._connection: AbstractConnection | None = None
        self._asked: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._is_up = False
        self._suspected_at: float | None = None

    @property
    def hears(self) -> bool:
        """Tell whether changes are heard: each before the answer to a question asked after it."""
        return self._is_up

    @property
    def is_up(self) -> bool:
        """Tell whether changes are heard and the server has not failed since it answered last."""
        return self._is_up and self._suspected_at is None

    def suspect(self) -> None:
        """Doubt the server until it answers a question asked from now on."""
        if self._is_up and self._suspected_at is None:
            self._suspected_at = time.monotonic()
            _settle(asyncio.ensure_future(self._ask()))

    async def barrier(self) -> bool:
        """Wait for an answer: Redis sends it behind every change that it stored before."""
        if not self._is_up:
            return False
        try:
            async with patience(ANSWER_SECONDS):
                await self._ask()
        except (CacheAway, TimeoutError):
            self.suspect()
            return False
        return self._is_up

    async def run(self) -> None:
        """Hold the connection, and take it up again whenever it breaks."""
        while True:
            try:
                await self._hold()
            except (RedisError, OSError, TimeoutError, CacheAway) as error:
                if self._is_up:
                    log.warning("cache_link_broken", error=repr(error))
            finally:
                await self._drop()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _hold(self) -> None:
        await self._store.learn_shape()
        connection = self._connection = self._pool.make_connection()
        await connection.connect()
        self._store.attach_to(await _run_id(connection))
        await _track(connection, self._store.bell_prefix)
        hearing = asyncio.ensure_future(self._hear(connection))
        try:
            await self._come_up()
            while not hearing.done():
                await self._beat(hearing)
            await hearing
        finally:
            hearing.cancel()
            _settle(hearing)

    async def _come_up(self) -> None:
        await self._listener.up()
        asked = time.monotonic()
        async with asyncio.timeout(BROKEN_SECONDS):
            await self._ask()
        self._is_up, self._suspected_at = True, None
        self._listener.sure_until(asked + SURE_SECONDS)
        log.info("cache_link_up")

    async def _beat(self, hearing: "asyncio.Future[None]") -> None:
        _settle(asyncio.ensure_future(self._ask()))
        await asyncio.wait({hearing}, timeout=BEAT_SECONDS)
        # Answers that came while the loop was busy are read before their lateness is judged.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self._asked and time.monotonic() - self._asked[0][0] > BROKEN_SECONDS:
            raise CacheAway("the server does not answer")

    async def _ask(self) -> None:
        connection = self._connection
        if connection is None:
            raise CacheAway("there is no connection")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append((time.monotonic(), answer))
        try:
            await connection.send_command("PING")
        except (RedisError, OSError, AttributeError) as error:
            # AttributeError: redis-py lets go of its writer under a call that is about to use it.
            raise CacheAway(repr(error)) from error
        await asyncio.shield(answer)

    async def _hear(self, connection: AbstractConnection) -> None:
        while True:
            kind, *content = await connection.read_response()
            if kind == b"pong":
                self._answered()
            elif kind == b"message":
                self._changed(content[1])

    def _changed(self, keys: list[bytes] | None) -> None:
        # None: all keys are gone at once, by FLUSHDB or FLUSHALL.
        if keys is None:
            self._listener.changed(None)
            return
        prefix = len(self._store.bell_prefix)
        for key in keys:
            self._listener.changed(key.decode()[prefix:])

    def _answered(self) -> None:
        asked_at, answer = self._asked.popleft()
        if not answer.done():
            answer.set_result(None)
        if self._is_up:
            if self._suspected_at is not None and asked_at >= self._suspected_at:
                self._suspected_at = None
            self._listener.sure_until(asked_at + SURE_SECONDS)

    async def _drop(self) -> None:
        self._is_up = False
        connection, self._connection = self._connection, None
        while self._asked:
            _, answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(CacheAway("the connection broke"))
                answer.exception()
        self._listener.down()
        if connection:
            await connection.disconnect(nowait=True)


async def _track(connection: AbstractConnection, prefix: str) -> None:
    """Ask to be told of every change below the prefix, on this same connection.

    It is a subscriber in RESP 2 and redirects to itself: of RESP 3's pushes redis-py gives away
    no public end.
    """
    await connection.send_command("CLIENT", "ID")
    own = await connection.read_response()
    track = ("CLIENT", "TRACKING", "ON", "REDIRECT", own, "BCAST", "PREFIX", prefix)
    await connection.send_command(*track)
    await connection.read_response()
    await connection.send_command("SUBSCRIBE", CHANNEL)
    await connection.read_response()


async def _run_id(connection: AbstractConnection) -> str:
    await connection.send_command("INFO", "server")
    lines = bytes(await connection.read_response()).decode().splitlines()
    return next(line for line in lines if line.startswith("run_id:")).removeprefix("run_id:")


def _settle(task: "asyncio.Future[None]") -> None:
    """Let a question go unheeded: how it ends is seen by who reads the answers."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
