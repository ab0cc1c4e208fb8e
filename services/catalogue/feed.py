"""The feed of catalogue changes, which each process reads from the database.

Deferred triggers write them at the end of each transaction: see migrations and docs/cache.md.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from infra.cache import ResponseCache
from infra.db.feed import Subscriber
from infra.db.history import MOST_CHANGES, Change, Step
from infra.db.sql import rows

# Longer than the lifetime of shared entries, so that a process that starts can check all of them.
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


class CatalogueFeed(Subscriber):
    """Keeps the cache of a process in step with the catalogue (`infra.db.feed`)."""

    channel = "catalogue"

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache

    async def poll(self, connection: Any, *, is_first: bool) -> None:  # noqa: ARG002  the protocol's
        """Read the changes since the last poll."""
        await _poll(self._cache, partial(connection.fetch, timeout=POLL_TIMEOUT_SECONDS))


async def catch_up(cache: ResponseCache) -> None:
    """Bring the cache of a process without a feed up to the current version."""
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
    """Write the running transaction's changes to the change log now, and return them.

    From then on the transaction holds the lock that all catalogue writers need to commit.
    """
    found = await rows("SELECT version, course_id::text, listed FROM catalogue_changes_now()")
    return [Change(row["version"], row["course_id"], row["listed"]) for row in found]


async def prune() -> int:
    """Delete the changes that no process needs, except the latest; return how many."""
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
