"""Which sessions were ended, as every process knows it: no question per request.

PostgreSQL notifies each process, which also asks it twice a second, for a notification can be
lost with its connection and a pooler forwards none. A process that could not ask lately doesn't
trust what it remembers and asks the database for each token.
"""

import asyncio
import time
from collections.abc import Set as AbstractSet
from uuid import UUID

import asyncpg

from infra import logs
from infra.database import direct_connection
from services import sessions

CHANNEL = "revocations"
POLL_SECONDS = 0.5
# Asked later than this ago, a revocation of a second ago could be unknown.
FRESH_SECONDS = 0.9
# All are read anew this often, which is when those are forgotten whose tokens have ended.
RELOAD_SECONDS = 600.0

_ALL = """
    SELECT id FROM sessions
    WHERE revoked_at IS NOT NULL AND tokens_until > now() - interval '1 minute'
"""
# Longer than any transaction that ends a session: it may commit behind a later one.
_LATEST = _ALL + "AND revoked_at > now() - interval '1 minute'"

log = logs.get_logger(__name__)


class Revocations:
    """The sessions that ended while a token of theirs may still be in somebody's hands."""

    def __init__(self, url: str) -> None:
        self._url = url
        # When this process learnt of each.
        self._revoked: dict[UUID, float] = {}
        self._asked_at = float("-inf")

    async def has(self, session_id: UUID) -> bool:
        """Tell whether the session was ended, at the latest a second ago."""
        if session_id in self._revoked:
            return True
        if self.is_fresh:
            return False
        return await sessions.is_revoked(session_id)

    @property
    def is_fresh(self) -> bool:
        """Tell whether the database was asked lately."""
        return time.monotonic() - self._asked_at < FRESH_SECONDS

    @property
    def ended(self) -> AbstractSet[UUID]:
        """The sessions that are known to have ended."""
        return self._revoked.keys()

    def add(self, session_id: UUID) -> None:
        """Remember what this process itself has ended."""
        self._revoked.setdefault(session_id, time.monotonic())

    async def follow(self) -> None:
        """Keep in step with the database until cancelled, whatever goes away in between."""
        while True:
            try:
                async with direct_connection(self._url) as connection:
                    await self._follow(connection)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("revocations_lost_database", error=str(error))
            except Exception:
                # Ended, it would leave every token to be looked up, and nobody would know why.
                log.exception("revocations_failed")
            await asyncio.sleep(POLL_SECONDS)

    async def _follow(self, connection: asyncpg.Connection) -> None:
        await connection.add_listener(CHANNEL, self._hear)
        reload_at = 0.0
        while True:
            asked_at = time.monotonic()
            whole = asked_at >= reload_at
            rows = await connection.fetch(_ALL if whole else _LATEST, timeout=10)
            if whole:
                reload_at = asked_at + RELOAD_SECONDS
                # A notification that came meanwhile is not in the answer.
                self._revoked = {known: at for known, at in self._revoked.items() if at >= asked_at}
            for row in rows:
                self.add(row["id"])
            self._asked_at = asked_at
            await asyncio.sleep(POLL_SECONDS)

    def _hear(self, *notification: object) -> None:
        self.add(UUID(str(notification[-1])))
