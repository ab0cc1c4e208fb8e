"""Liveness of relays: each holds a shared advisory lock while it reaches the broker."""

import asyncpg
from tortoise import BaseDBAsyncClient

from infra.db.engine import primary

_LOCK = 0x5441534B


class LivenessLock:
    """The lock of one relay, held by its connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._is_held = False

    async def acquire(self) -> None:
        """Take the lock, unless it is held."""
        if not self._is_held:
            await self._connection.execute("SELECT pg_advisory_lock_shared($1)", _LOCK)
            self._is_held = True

    async def release(self) -> None:
        """Release the lock if it is held."""
        if self._is_held:
            await self._connection.execute("SELECT pg_advisory_unlock_shared($1)", _LOCK)
            self._is_held = False


async def is_relay_alive(source: BaseDBAsyncClient | None = None) -> bool:
    """Return whether a relay of any worker is running and reaches the broker."""
    relays = await (source or primary()).execute_query_dict(
        """
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1
          AND datname = current_database() AND granted
        LIMIT 1
        """,
        [_LOCK],
    )
    return bool(relays)
