"""Token buckets: in Redis for all instances together, in memory for one process, and both.

A bucket is one number, the time at which it will be full again. It needs no clock but one: Redis's
own for all instances, so none of theirs has to be right.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from infra.rate_limits.breaker import Breaker

PREFIX = "limit"
PERIOD_SECONDS = 60
MICROSECONDS = 1_000_000
MAX_KEYS = 100_000

# KEYS: the bucket. ARGV: microseconds a token takes to come back, the bucket's size, how many are
# wanted. Answers how many are granted, how many are left, and in how many microseconds there is
# one more and the bucket is full.
GCRA = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, size, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local left = math.max(math.floor((now + size * interval - full_at) / interval), 0)
local granted = math.min(wanted, left)
if granted > 0 then
    full_at = full_at + granted * interval
    local lifetime = math.ceil((full_at - now) / 1000) + 1
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', lifetime)
end
local wait = math.max(full_at + interval - size * interval - now, 0)
return {granted, left - granted, math.ceil(wait), math.ceil(full_at - now)}
"""


class Kind(StrEnum):
    """The classes of endpoints, each with buckets of its own."""

    READS = "reads"
    WRITES = "writes"
    UPLOADS = "uploads"
    LOGINS = "logins"


@dataclass(frozen=True)
class Rate:
    """So many a minute; a minute's worth may come at once."""

    per_minute: int

    @property
    def interval(self) -> int:
        """Return after how many microseconds a token comes back."""
        return max(1, PERIOD_SECONDS * MICROSECONDS // self.per_minute)


class TokenRequest(NamedTuple):
    """Who wants how many tokens of what."""

    kind: Kind
    client: str
    wanted: int = 1


class TokenGrant(NamedTuple):
    """How many were granted and are left; in how many seconds there is one more, and all."""

    granted: int
    left: int
    wait_seconds: float
    full_seconds: float


Rates = dict[Kind, Rate]


class Buckets(Protocol):
    """A place for buckets."""

    async def take(self, asks: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each, as many as there are."""


class MemoryBuckets:
    """This process's own; the oldest of too many are forgotten, which is to say full."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = rates
        self._clock = clock
        self._full_at: dict[tuple[Kind, str], int] = {}

    async def take(self, asks: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each, as many as there are."""
        return [self._take(ask) for ask in asks]

    def _take(self, ask: TokenRequest) -> TokenGrant:
        now = int(self._clock() * MICROSECONDS)
        rate = self._rates[ask.kind]
        key = (ask.kind, ask.client)
        full_at = max(self._full_at.pop(key, 0), now)
        room = max((now + rate.per_minute * rate.interval - full_at) // rate.interval, 0)
        granted = min(ask.wanted, room)
        full_at += granted * rate.interval
        self._full_at[key] = full_at
        if len(self._full_at) > MAX_KEYS:
            del self._full_at[next(iter(self._full_at))]
        wait = max(full_at + rate.interval - rate.per_minute * rate.interval - now, 0)
        return TokenGrant(
            granted, room - granted, wait / MICROSECONDS, (full_at - now) / MICROSECONDS
        )


class RedisBuckets:
    """All instances' together; one script call a question, all questions in one round trip."""

    def __init__(self, redis: "Redis", rates: Rates) -> None:
        self._redis = redis
        self._rates = rates
        self._digest = ""

    async def take(self, asks: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each, as many as there are.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away.

        """
        try:
            return await self._take(asks)
        except NoScriptError:
            # First use, or a Redis that was started anew.
            self._digest = await self._redis.script_load(GCRA)
            return await self._take(asks)

    async def _take(self, asks: Sequence[TokenRequest]) -> list[TokenGrant]:
        calls: Any = self._redis.pipeline(transaction=False)
        for kind, client, wanted in asks:
            rate = self._rates[kind]
            key = f"{PREFIX}:{kind}:{client}"
            calls.evalsha(self._digest, 1, key, rate.interval, rate.per_minute, wanted)
        return [
            TokenGrant(granted, left, wait / MICROSECONDS, full / MICROSECONDS)
            for granted, left, wait, full in await calls.execute()
        ]


class FallbackBuckets:
    """Redis's while it answers, this process's own while it doesn't: no request waits for it."""

    def __init__(self, shared: Buckets, own: MemoryBuckets) -> None:
        self._shared = shared
        self._own = own
        self._breaker = Breaker()

    async def take(self, asks: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each, as many as there are."""
        return await self._breaker.ask(
            lambda: self._shared.take(asks), lambda: self._own.take(asks)
        )


def whole_seconds(seconds: float) -> int:
    """Return what to tell a client to wait: at least a second."""
    return max(1, math.ceil(seconds))
