"""Which sessions were ended, as every process knows it: no question per request.

A process that could not ask the database lately doesn't trust what it remembers and asks for each
token.
"""

import time
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from services.auth import sessions

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


class Revocations:
    """The sessions that ended while a token of theirs may still be in use (`infra.db.feed`)."""

    channel = "revocations"

    def __init__(self) -> None:
        # When this process learnt of each.
        self._revoked: dict[UUID, float] = {}
        self._asked_at = self._reload_at = float("-inf")

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

    async def poll(self, connection: Any, *, is_first: bool) -> None:
        """Read what ended lately, and now and then all."""
        asked_at = time.monotonic()
        whole = is_first or asked_at >= self._reload_at
        rows = await connection.fetch(_ALL if whole else _LATEST, timeout=10)
        if whole:
            self._reload_at = asked_at + RELOAD_SECONDS
            # A notification that came meanwhile is not in the answer.
            self._revoked = {known: at for known, at in self._revoked.items() if at >= asked_at}
        for row in rows:
            self.add(row["id"])
        self._asked_at = asked_at

    def hear(self, payload: str) -> None:
        """Take a notification: the id of a session."""
        self.add(UUID(payload))
