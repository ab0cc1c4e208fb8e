"""The changes of the catalogue, as each process reads them from the database.

Deferred triggers write them at the end of each transaction: see migrations and docs/cache.md.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from infra.cache import ResponseCache
from infra.db.history import MOST_CHANGES, Change, Step
from infra.db.sql import rows

# Long enough for a process to take the entries of all others for known after it has started.
KEPT_MINUTES = 15
_POLL = """
    SELECT current.version AS current, changed.version, changed.previous,
           changed.course_id::text AS course_id, changed.listed
    FROM catalogue_version AS current LEFT JOIN LATERAL (
        SELECT * FROM catalogue_changes WHERE version > $1 ORDER BY version DESC LIMIT $2
    ) AS changed ON true
    ORDER BY changed.version
"""
CATALOGUE_POLL_SECONDS = 0.25
POLL_TIMEOUT_SECONDS = 3.0


class CatalogueFeed:
    """Keeps the cache of a process in step with the catalogue (`infra.db.feed`)."""

    channel = "catalogue"

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache

    def hear(self, payload: str) -> None:
        """Take a notification: the feed polls after each."""

    async def poll(self, connection: Any, *, is_first: bool) -> None:  # noqa: ARG002  the protocol's
        """Read the changes since the last poll."""

        async def fetch(*args: object) -> Any:
            return await connection.fetch(*args, timeout=POLL_TIMEOUT_SECONDS)

        await _poll(self._cache, fetch)


async def catch_up(cache: ResponseCache) -> None:
    """Have the cache of a process that follows no feed know the changes so far."""
    await _poll(cache, rows)


async def _poll(cache: ResponseCache, fetch: Callable[..., Awaitable[Any]]) -> None:
    asked_at = time.monotonic()
    found = await fetch(_POLL, cache.history.version or 0, MOST_CHANGES)
    steps = [
        Step(row["previous"], Change(row["version"], row["course_id"], row["listed"]))
        for row in found
        if row["version"] is not None
    ]
    cache.follow(found[0]["current"], steps, asked_at)


async def running_changes() -> list[Change]:
    """Return what the running transaction changes; it is noted by this, not by the commit.

    From here on the transaction holds the lock that all writers of the catalogue need to commit.
    """
    found = await rows("SELECT version, course_id::text, listed FROM catalogue_changes_now()")
    return [Change(row["version"], row["course_id"], row["listed"]) for row in found]


async def prune() -> int:
    """Delete the changes that no process needs; the latest one stays. Return how many."""
    deleted = await rows(
        """
        DELETE FROM catalogue_changes
        WHERE version < (extract(epoch FROM now() - make_interval(mins => $1)) * 1000000)::bigint
          AND version < (SELECT version FROM catalogue_version)
        RETURNING version
        """,
        KEPT_MINUTES,
    )
    return len(deleted)
