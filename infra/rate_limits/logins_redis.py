"""The counts of failed logins that all instances share: scripts of Redis."""

import hashlib
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from infra.rate_limits.logins import (
    FIRST_WAIT_SECONDS,
    FORGET_SECONDS,
    FREE_OF_ACCOUNT,
    FREE_OF_ADDRESS,
    KNOWN_SECONDS,
    LONGEST_WAIT_SECONDS,
    Attempt,
    keys_of,
)

# KEYS: counts of the account, the address, the account at the address; the mark that it was logged
# in from there. ARGV: how many are free by the first two; first wait, longest, memory, in ms.
# Answers how many milliseconds to wait. If that is 0 the attempt is counted, and the answer goes
# on: in which of the counts, and until when it lets nobody else try there.
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
    local till = 0
    if over >= 0 then
        till = now + math.min(ARGV[3] * 2 ^ math.min(over, 30), tonumber(ARGV[4]))
        redis.call('HSET', key, 'until', string.format('%.0f', till))
    end
    redis.call('PEXPIRE', key, ARGV[5])
    table.insert(answer, number)
    table.insert(answer, till)
end
return answer
"""

_GIVE_BACK = """
local function give_back(key, till)
    local attempts = tonumber(redis.call('HGET', key, 'attempts')) or 0
    if attempts <= 1 then return redis.call('DEL', key) end
    redis.call('HINCRBY', key, 'attempts', -1)
    if redis.call('HGET', key, 'until') == till then redis.call('HDEL', key, 'until') end
end
"""

# KEYS: the counts. ARGV: until when the attempt lets nobody else try, for each.
RELEASE = f"""{_GIVE_BACK}
for i, key in ipairs(KEYS) do give_back(key, ARGV[i]) end
return {{}}
"""

# KEYS as for ATTEMPT. ARGV: memory of the mark, in seconds; if the attempt is counted for the
# address, until when it lets nobody else try there.
SUCCESS = f"""{_GIVE_BACK}
redis.call('DEL', KEYS[1], KEYS[3])
if ARGV[2] then give_back(KEYS[2], ARGV[2]) end
redis.call('SET', KEYS[4], 1, 'EX', ARGV[1])
return {{}}
"""


class RedisLogins:
    """The counts of all instances."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away.

        """
        waits = [FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, FORGET_SECONDS]
        milliseconds = [int(seconds * 1000) for seconds in waits]
        limits = [FREE_OF_ACCOUNT, FREE_OF_ADDRESS, *milliseconds]
        keys = keys_of(username, address)
        wait, *counted = await self._run(ATTEMPT, keys, limits)
        numbers, untils = counted[::2], counted[1::2]
        return Attempt(
            wait / 1000, {keys[n - 1]: until for n, until in zip(numbers, untils, strict=True)}
        )

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Take the attempt back, and remember where the account is at home.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away.

        """
        keys = keys_of(username, address)
        of_address = [int(until) for key, until in attempt.counted.items() if key == keys[1]]
        await self._run(SUCCESS, keys, [KNOWN_SECONDS, *of_address])

    async def release(self, attempt: Attempt) -> None:
        """Take the attempt back: it was neither a success nor a failure.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away.

        """
        if attempt.counted:
            untils = [int(until) for until in attempt.counted.values()]
            await self._run(RELEASE, tuple(attempt.counted), untils)

    async def _run(self, script: str, keys: tuple[str, ...], values: list[int]) -> Any:
        redis: Any = self._redis
        # What Redis itself calls the script.
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await redis.evalsha(digest, len(keys), *keys, *values)
        except NoScriptError:
            return await redis.eval(script, len(keys), *keys, *values)
