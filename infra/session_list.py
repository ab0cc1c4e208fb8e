"""A list of sessions in Redis, for operators; the sessions themselves are in PostgreSQL.

An entry lives for a day after the last login or refresh.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson

from infra.errors import DeclaredError
from infra.rate_limits.breaker import Breaker, no_fallback
from infra.redis_py import Redis, RedisError

PREFIX = "session"
TTL_SECONDS = 24 * 60 * 60
SCAN_COUNT = 1_000


class SessionListUnavailable(DeclaredError):
    """Redis, which lists the sessions, is unavailable"""


class SessionList:
    """The list; without Redis it stays empty."""

    def __init__(self, redis: "Redis | None") -> None:
        self._redis: Any = redis
        self._breaker = Breaker()

    async def put(self, session_id: UUID, about: dict[str, str]) -> None:
        """Add or replace the entry of a session."""
        if self._redis:
            entry = orjson.dumps(about)
            await self._breaker.call(
                lambda: self._redis.set(_key(session_id), entry, ex=TTL_SECONDS), no_fallback
            )

    async def drop(self, session_ids: Iterable[UUID]) -> None:
        """Remove sessions that have ended."""
        keys = [_key(session_id) for session_id in session_ids]
        if self._redis and keys:
            await self._breaker.call(lambda: self._redis.delete(*keys), no_fallback)

    async def all(self) -> dict[str, dict[str, str]]:
        """Return the entries by session id.

        Raises:
            SessionListUnavailable: Redis is unavailable.

        """
        if not self._redis:
            return {}
        try:
            return await self._read()
        except (RedisError, OSError, TimeoutError):
            raise SessionListUnavailable from None

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
