"""Responses that need not be made again, kept true by versions of the database (docs/cache.md)."""

from collections.abc import Sequence
from typing import Protocol

from infra.cache.entry import Entry, Key, Make, Page, Slice
from infra.cache.filler import TooManyFills
from infra.cache.level import CacheDown, SecondLevel
from infra.cache.response_cache import ResponseCache
from infra.cache.shared import Shared
from infra.db.history import Change

__all__ = [
    "Cache",
    "CacheDown",
    "Entry",
    "Key",
    "Make",
    "NoCache",
    "Page",
    "ResponseCache",
    "SecondLevel",
    "Shared",
    "Slice",
    "TooManyFills",
]


class Cache(Protocol):
    """What writers need of the cache."""

    async def publish(self, changes: Sequence[Change]) -> None:
        """Tell this instance's processes what was committed."""


class NoCache:
    """The cache of a process that serves no readers: the feed tells those that do."""

    async def publish(self, changes: Sequence[Change]) -> None:
        """Do nothing."""
