"""Who is logged in, as a list in Redis for operators to look at. The truth is in PostgreSQL.

An entry is there for a day after the last login or refresh, as in the service before this one.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.errors import DeclaredError
from infra.rate_limits.breaker import Breaker

PREFIX = "session"
TTL_SECONDS = 24 * 60 * 60
SCAN_COUNT = 1_000


class SessionListAway(DeclaredError):
    """Redis is away, and with it the list of sessions"""


class SessionList:
    """The list; without a Redis, or while it is away, it is empty and takes nothing."""

    def __init__(self, redis: "Redis | None") -> None:
        self._redis: Any = redis
        self._breaker = Breaker()

    async def put(self, session_id: UUID, about: dict[str, str]) -> None:
        """Say what there is to say of a session that was opened or continued."""
        if self._redis:
            entry = orjson.dumps(about)
            await self._breaker.ask(
                lambda: self._redis.set(_key(session_id), entry, ex=TTL_SECONDS), _nothing
            )

    async def drop(self, session_ids: Iterable[UUID]) -> None:
        """Take sessions off that have ended."""
        keys = [_key(session_id) for session_id in session_ids]
        if self._redis and keys:
            await self._breaker.ask(lambda: self._redis.delete(*keys), _nothing)

    async def all(self) -> dict[str, dict[str, str]]:
        """Return what was said of each session, by its id.

        Raises:
            SessionListAway: Redis is away.

        """
        if not self._redis:
            return {}
        try:
            return await self._read()
        except (RedisError, OSError, TimeoutError):
            raise SessionListAway from None

    async def _read(self) -> dict[str, dict[str, str]]:
        keys = [key async for key in self._redis.scan_iter(match=f"{PREFIX}:*", count=SCAN_COUNT)]
        entries = await self._redis.mget(keys) if keys else []
        return {
            key.decode().partition(":")[2]: orjson.loads(entry)
            for key, entry in zip(keys, entries, strict=True)
            if entry
        }


def _key(session_id: UUID) -> str:
    return f"{PREFIX}:{session_id}"


async def _nothing() -> None:
    return None
