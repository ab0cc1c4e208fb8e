"""A cache of responses, invalidated by versions in the database (docs/cache.md)."""

from collections.abc import Sequence
from typing import Protocol

from infra.cache.entry import Entry, Key, Page, Slice
from infra.cache.filler import TooManyFills
from infra.cache.level import CacheDown, SecondLevel, open_level
from infra.cache.response_cache import ResponseCache
from infra.db.history import Change

__all__ = [
    "Cache",
    "CacheDown",
    "Entry",
    "Key",
    "NoCache",
    "Page",
    "ResponseCache",
    "SecondLevel",
    "Slice",
    "TooManyFills",
    "open_level",
]


class Cache(Protocol):
    """The part of the cache that writers use."""

    async def publish(self, changes: Sequence[Change]) -> None:
        """Publish committed changes to this instance's processes."""


class NoCache:
    """The cache of a process without readers; server processes get its changes from the feed."""

    async def publish(self, changes: Sequence[Change]) -> None:
        """Do nothing."""
