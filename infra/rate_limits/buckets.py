"""Token buckets: in Redis for all instances, in memory for one process, and one as a fallback.

A bucket is one number: the time at which it will be full again. The buckets in Redis use Redis's
clock, so the instances' clocks don't matter.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from infra.rate_limits.breaker import Breaker
from infra.redis_py import NoScriptError, Redis

PREFIX = "limit"
PERIOD_SECONDS = 60
MICROSECONDS = 1_000_000
MAX_KEYS = 100_000

# KEYS: the bucket. ARGV: microseconds for a token to return, the bucket's size, the tokens wanted.
# Returns the tokens granted, the tokens left, and the microseconds until one more token and until
# the bucket is full.
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


class RateClass(StrEnum):
    """The classes of endpoints; each has its own buckets."""

    READS = "reads"
    WRITES = "writes"
    UPLOADS = "uploads"
    LOGINS = "logins"


@dataclass(frozen=True)
class Rate:
    """Requests per minute; a burst may use a minute's worth."""

    per_minute: int

    @property
    def interval(self) -> int:
        """The microseconds after which a token returns."""
        return max(1, PERIOD_SECONDS * MICROSECONDS // self.per_minute)


class TokenRequest(NamedTuple):
    """A request for tokens of a client's bucket."""

    rate_class: RateClass
    client: str
    wanted: int = 1


class TokenGrant(NamedTuple):
    """The tokens granted and left, and the seconds until one more token and until a full bucket."""

    granted: int
    left: int
    wait_seconds: float
    full_seconds: float


Rates = dict[RateClass, Rate]


class Buckets(Protocol):
    """A store of buckets."""

    async def take(self, requests: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each request, as many as there are."""


class MemoryBuckets:
    """The buckets of this process; beyond `MAX_KEYS` the oldest are dropped, which fills them."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = rates
        self._clock = clock
        self._full_at: dict[tuple[RateClass, str], int] = {}

    async def take(self, requests: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each request, as many as there are."""
        return [self._take(request) for request in requests]

    def _take(self, request: TokenRequest) -> TokenGrant:
        now = int(self._clock() * MICROSECONDS)
        rate = self._rates[request.rate_class]
        key = (request.rate_class, request.client)
        full_at = max(self._full_at.pop(key, 0), now)
        available = max((now + rate.per_minute * rate.interval - full_at) // rate.interval, 0)
        granted = min(request.wanted, available)
        full_at += granted * rate.interval
        self._full_at[key] = full_at
        if len(self._full_at) > MAX_KEYS:
            del self._full_at[next(iter(self._full_at))]
        wait = max(full_at + rate.interval - rate.per_minute * rate.interval - now, 0)
        return TokenGrant(
            granted, available - granted, wait / MICROSECONDS, (full_at - now) / MICROSECONDS
        )


class RedisBuckets:
    """The buckets of all instances; a script call for each request, all in one round trip."""

    def __init__(self, redis: "Redis", rates: Rates) -> None:
        self._redis = redis
        self._rates = rates
        self._digest = ""

    async def take(self, requests: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each request, as many as there are.

        Raises:
            RedisError, OSError, TimeoutError: Redis is unavailable.

        """
        try:
            return await self._take(requests)
        except NoScriptError:
            # The first use, or Redis was restarted.
            self._digest = await self._redis.script_load(GCRA)
            return await self._take(requests)

    async def _take(self, requests: Sequence[TokenRequest]) -> list[TokenGrant]:
        calls: Any = self._redis.pipeline(transaction=False)
        for rate_class, client, wanted in requests:
            rate = self._rates[rate_class]
            key = f"{PREFIX}:{rate_class}:{client}"
            calls.evalsha(self._digest, 1, key, rate.interval, rate.per_minute, wanted)
        return [
            TokenGrant(granted, left, wait / MICROSECONDS, full / MICROSECONDS)
            for granted, left, wait, full in await calls.execute()
        ]


class FallbackBuckets:
    """The buckets in Redis, and while it is unavailable those of this process."""

    def __init__(self, shared: Buckets, own: MemoryBuckets) -> None:
        self._shared = shared
        self._own = own
        self._breaker = Breaker()

    async def take(self, requests: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens for each request, as many as there are."""
        return await self._breaker.call(
            lambda: self._shared.take(requests), lambda: self._own.take(requests)
        )


def whole_seconds(seconds: float) -> int:
    """Round up to whole seconds, at least one, for `Retry-After`."""
    return max(1, math.ceil(seconds))
