"""The ended sessions in the memory of each process, so that requests need no query.

A process whose last poll is too old queries the database for each token.
"""

import time
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from infra.db.feed import Subscriber
from services.auth import sessions

# With an older poll, a revocation of a second ago could be missing.
FRESH_SECONDS = 0.9
# A full read also drops the sessions whose tokens have expired.
RELOAD_SECONDS = 600.0

_ALL = """
    SELECT id FROM sessions
    WHERE revoked_at IS NOT NULL AND tokens_until > now() - interval '1 minute'
"""
# Longer than any transaction that ends a session: one may commit after a later one.
_LATEST = _ALL + "AND revoked_at > now() - interval '1 minute'"


class Revocations(Subscriber):
    """The ended sessions with unexpired tokens, kept current by `infra.db.feed`."""

    channel = "revocations"

    def __init__(self) -> None:
        # When this process read or received each.
        self._revoked: dict[UUID, float] = {}
        self._asked_at = self._reload_at = float("-inf")

    async def has(self, session_id: UUID) -> bool:
        """Return whether the session has ended; an end of the last second may be missing."""
        if session_id in self._revoked:
            return True
        if self.is_fresh:
            return False
        return await sessions.is_revoked(session_id)

    @property
    def is_fresh(self) -> bool:
        """Whether the last poll is recent enough."""
        return time.monotonic() - self._asked_at < FRESH_SECONDS

    @property
    def ended(self) -> AbstractSet[UUID]:
        """The sessions that this process has as ended."""
        return self._revoked.keys()

    def add(self, session_id: UUID) -> None:
        """Add a session that this process has ended."""
        self._revoked.setdefault(session_id, time.monotonic())

    async def poll(self, connection: Any, *, is_first: bool) -> None:
        """Read the latest ended sessions, or all if the last full read is too old."""
        asked_at = time.monotonic()
        whole = is_first or asked_at >= self._reload_at
        rows = await connection.fetch(_ALL if whole else _LATEST, timeout=10)
        if whole:
            self._reload_at = asked_at + RELOAD_SECONDS
            # A notification that came meanwhile is not in the result.
            self._revoked = {known: at for known, at in self._revoked.items() if at >= asked_at}
        for row in rows:
            self.add(row["id"])
        self._asked_at = asked_at

    def on_notification(self, payload: str) -> None:
        """Add the session of a notification."""
        self.add(UUID(payload))
