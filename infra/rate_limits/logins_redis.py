"""The counts of failed logins that all instances share, by Redis scripts."""

import hashlib
from typing import Any

from infra.rate_limits.logins import (
    COUNT_TTL_SECONDS,
    FIRST_WAIT_SECONDS,
    FREE_PER_ACCOUNT,
    FREE_PER_ADDRESS,
    KNOWN_TTL_SECONDS,
    MAX_WAIT_SECONDS,
    Attempt,
    login_keys,
)
from infra.redis_py import NoScriptError, Redis

# KEYS: counts of the account, the address, and the pair; the mark of a known pair. ARGV: free
# attempts by account and by address; first wait, longest wait, lifetime of a count, in ms.
# Returns the milliseconds to wait. If 0, the attempt is counted, and the result continues with the
# number of each count and the time until which the attempt blocks others there.
ATTEMPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local counts, free = {1, 2}, {ARGV[1], ARGV[2]}
if redis.call('EXISTS', KEYS[4]) == 1 then counts, free = {3}, {ARGV[1]} end
local wait = 0
for _, number in ipairs(counts) do
    wait = math.max(wait, (tonumber(redis.call('HGET', KEYS[number], 'until')) or 0) - now)
end
if wait > 0 then return {wait} end
local answer = {0}
for i, number in ipairs(counts) do
    local key = KEYS[number]
    local over = redis.call('HINCRBY', key, 'attempts', 1) - tonumber(free[i])
    local blocked_until = 0
    if over >= 0 then
        blocked_until = now + math.min(ARGV[3] * 2 ^ math.min(over, 30), tonumber(ARGV[4]))
        redis.call('HSET', key, 'until', string.format('%.0f', blocked_until))
    end
    redis.call('PEXPIRE', key, ARGV[5])
    table.insert(answer, number)
    table.insert(answer, blocked_until)
end
return answer
"""

_UNDO = """
local function undo(key, blocked_until)
    local attempts = tonumber(redis.call('HGET', key, 'attempts')) or 0
    if attempts <= 1 then return redis.call('DEL', key) end
    redis.call('HINCRBY', key, 'attempts', -1)
    if redis.call('HGET', key, 'until') == blocked_until then redis.call('HDEL', key, 'until') end
end
"""

# KEYS: the counts. ARGV: the time until which the attempt blocks others, for each.
RELEASE = f"""{_UNDO}
for i, key in ipairs(KEYS) do undo(key, ARGV[i]) end
return {{}}
"""

# KEYS as for ATTEMPT. ARGV: lifetime of the mark in seconds; if the attempt is counted for the
# address, the time until which it blocks others there.
SUCCESS = f"""{_UNDO}
redis.call('DEL', KEYS[1], KEYS[3])
if ARGV[2] then undo(KEYS[2], ARGV[2]) end
redis.call('SET', KEYS[4], 1, 'EX', ARGV[1])
return {{}}
"""


class RedisLogins:
    """The counts of all instances.

    While Redis is unavailable, each call raises RedisError, OSError or TimeoutError.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first."""
        waits = [FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS, COUNT_TTL_SECONDS]
        milliseconds = [int(seconds * 1000) for seconds in waits]
        limits = [FREE_PER_ACCOUNT, FREE_PER_ADDRESS, *milliseconds]
        keys = login_keys(username, address)
        wait, *counted = await self._run(ATTEMPT, keys, limits)
        numbers, untils = counted[::2], counted[1::2]
        return Attempt(
            wait / 1000, {keys[n - 1]: until for n, until in zip(numbers, untils, strict=True)}
        )

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Undo the attempt, and record that the account logged in from this address."""
        keys = login_keys(username, address)
        address_until = [int(until) for key, until in attempt.counted.items() if key == keys[1]]
        await self._run(SUCCESS, keys, [KNOWN_TTL_SECONDS, *address_until])

    async def release(self, attempt: Attempt) -> None:
        """Undo an attempt that was neither a success nor a failure."""
        if attempt.counted:
            untils = [int(until) for until in attempt.counted.values()]
            await self._run(RELEASE, tuple(attempt.counted), untils)

    async def _run(self, script: str, keys: tuple[str, ...], values: list[int]) -> Any:
        redis: Any = self._redis
        # Redis names a script by its SHA-1.
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await redis.evalsha(digest, len(keys), *keys, *values)
        except NoScriptError:
            return await redis.eval(script, len(keys), *keys, *values)
