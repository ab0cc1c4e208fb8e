"""Failed logins: each makes the next one of the account, and of the address, wait longer.

An attempt counts as failed until it succeeds, so a hundred at once are a hundred. After some that
are free the wait doubles from a second to a minute and stays there: nobody is locked out for good.
Where an account was logged in from before, it has a count of its own: strangers who guess at it
do not make its owner wait.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from infra.limits.breaker import Breaker
from infra.limits.buckets import MAX_KEYS

PREFIX = "login"
FREE_OF_ACCOUNT = 10
FREE_OF_ADDRESS = 50
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
FORGET_SECONDS = 15 * 60
KNOWN_SECONDS = 30 * 24 * 60 * 60

# KEYS: counts of the account, the address, the account at the address; the mark that it was logged
# in from there. ARGV: how many are free by the first two; first wait, longest, memory, in ms.
# Answers how many milliseconds to wait; the attempt is counted if that is 0.
ATTEMPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local counts, free = {KEYS[1], KEYS[2]}, {ARGV[1], ARGV[2]}
if redis.call('EXISTS', KEYS[4]) == 1 then counts, free = {KEYS[3]}, {ARGV[1]} end
local wait = 0
for _, key in ipairs(counts) do
    wait = math.max(wait, (tonumber(redis.call('HGET', key, 'until')) or 0) - now)
end
if wait > 0 then return wait end
for i, key in ipairs(counts) do
    local over = redis.call('HINCRBY', key, 'attempts', 1) - tonumber(free[i])
    if over >= 0 then
        local delay = math.min(ARGV[3] * 2 ^ math.min(over, 30), tonumber(ARGV[4]))
        redis.call('HSET', key, 'until', string.format('%.0f', now + delay))
    end
    redis.call('PEXPIRE', key, ARGV[5])
end
return 0
"""

# KEYS as above. ARGV: memory of the mark, in seconds.
SUCCESS = """
redis.call('DEL', KEYS[1], KEYS[3])
if redis.call('HDEL', KEYS[2], 'until') + redis.call('EXISTS', KEYS[2]) > 0 then
    redis.call('HINCRBY', KEYS[2], 'attempts', -1)
end
redis.call('SET', KEYS[4], 1, 'EX', ARGV[1])
return 0
"""


class LoginThrottle(Protocol):
    """Counts attempts to log in."""

    async def attempt(self, username: str, address: str) -> float:
        """Count an attempt; return 0, or how many seconds to wait first."""

    async def succeed(self, username: str, address: str) -> None:
        """Take back what the attempt counted, and remember where the account is at home."""


@dataclass
class _Count:
    attempts: int = 0
    until: float = 0.0
    forget_at: float = 0.0


class MemoryLogins:
    """This process's own counts; the oldest of too many are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, _Count] = {}

    async def attempt(self, username: str, address: str) -> float:
        """Count an attempt; return 0, or how many seconds to wait first."""
        account, place, both, home = _keys(username, address)
        now = self._clock()
        counts = [(account, FREE_OF_ACCOUNT), (place, FREE_OF_ADDRESS)]
        if self._count(home, now).attempts:
            counts = [(both, FREE_OF_ACCOUNT)]
        wait = max(self._count(key, now).until - now for key, _ in counts)
        if wait > 0:
            return wait
        for key, free in counts:
            self._add(key, now, free)
        return 0.0

    async def succeed(self, username: str, address: str) -> None:
        """Take back what the attempt counted, and remember where the account is at home."""
        account, place, both, home = _keys(username, address)
        now = self._clock()
        for key in (account, both):
            self._counts.pop(key, None)
        if count := self._counts.get(place):
            count.attempts, count.until = count.attempts - 1, 0.0
        self._keep(home, _Count(1, 0.0, now + KNOWN_SECONDS))

    def _count(self, key: str, now: float) -> _Count:
        found = self._counts.get(key)
        return found if found and found.forget_at > now else _Count()

    def _add(self, key: str, now: float, free: int) -> None:
        count = self._count(key, now)
        over = count.attempts + 1 - free
        until = now + _wait(over) if over >= 0 else 0.0
        self._keep(key, _Count(count.attempts + 1, until, now + FORGET_SECONDS))

    def _keep(self, key: str, count: _Count) -> None:
        self._counts.pop(key, None)
        self._counts[key] = count
        if len(self._counts) > MAX_KEYS:
            del self._counts[next(iter(self._counts))]


class RedisLogins:
    """The counts of all instances."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def attempt(self, username: str, address: str) -> float:
        """Count an attempt; return 0, or how many seconds to wait first.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away.

        """
        waits = [FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, FORGET_SECONDS]
        milliseconds = [int(seconds * 1000) for seconds in waits]
        limits = [FREE_OF_ACCOUNT, FREE_OF_ADDRESS, *milliseconds]
        return int(await self._run(ATTEMPT, _keys(username, address), limits)) / 1000

    async def succeed(self, username: str, address: str) -> None:
        """Take back what the attempt counted, and remember where the account is at home.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away.

        """
        await self._run(SUCCESS, _keys(username, address), [KNOWN_SECONDS])

    async def _run(self, script: str, keys: tuple[str, ...], values: list[int]) -> Any:
        redis: Any = self._redis
        # What Redis itself calls the script.
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await redis.evalsha(digest, len(keys), *keys, *values)
        except NoScriptError:
            return await redis.eval(script, len(keys), *keys, *values)


class SafeLogins:
    """Redis's counts while it answers; while it doesn't, this process's own still throttle."""

    def __init__(self, shared: LoginThrottle, own: MemoryLogins) -> None:
        self._shared = shared
        self._own = own
        self._breaker = Breaker()

    async def attempt(self, username: str, address: str) -> float:
        """Count an attempt; return 0, or how many seconds to wait first."""
        return await self._breaker.ask(
            lambda: self._shared.attempt(username, address),
            lambda: self._own.attempt(username, address),
        )

    async def succeed(self, username: str, address: str) -> None:
        """Take back what the attempt counted, and remember where the account is at home."""
        await self._breaker.ask(
            lambda: self._shared.succeed(username, address),
            lambda: self._own.succeed(username, address),
        )


def _wait(over: int) -> float:
    return float(min(FIRST_WAIT_SECONDS * 2 ** min(over, 30), LONGEST_WAIT_SECONDS))


def _keys(username: str, address: str) -> tuple[str, str, str, str]:
    # A hash: names are of any length and hold any character.
    name = hashlib.sha256(username.encode(errors="surrogatepass")).hexdigest()[:32]
    return (
        f"{PREFIX}:account:{name}",
        f"{PREFIX}:address:{address}",
        f"{PREFIX}:both:{name}:{address}",
        f"{PREFIX}:home:{name}:{address}",
    )
