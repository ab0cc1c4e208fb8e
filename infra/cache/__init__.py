"""Answers that need not be made again: in memory, in Redis, and true (docs/cache.md)."""

from typing import Protocol

from infra.cache.answers import AnswerCache, TooManyFills
from infra.cache.entry import Entry, Key, Make, Page, Piece, masked
from infra.cache.local import MemoryStore
from infra.cache.outpost import Outpost
from infra.cache.redis import RedisStore
from infra.cache.shared import Shared
from infra.cache.store import CacheAway, Shape, Store

__all__ = [
    "AnswerCache",
    "Cache",
    "CacheAway",
    "Entry",
    "Key",
    "Make",
    "MemoryStore",
    "NoCache",
    "Outpost",
    "Page",
    "Piece",
    "RedisStore",
    "Shape",
    "Shared",
    "Store",
    "TooManyFills",
    "masked",
    "no_shape",
    "open_store",
]


class Cache(Protocol):
    """What those who read and write need of it."""

    async def get(self, key: Key, make: Make) -> Entry:
        """Return the answer of a key, made if there is none."""
        ...

    async def cut(self, piece: Piece) -> Entry:
        """Return an answer that is cut from another one."""
        ...

    async def changed(self, *topics: str, mark: str = "") -> None:
        """Announce that answers about these topics are old; after the commit, before the answer.

        `mark` is left for who asks whether it was (`Outpost.is_announced`).
        """

    async def touched(self, topic: str, *listings: str, mark: str = "") -> None:
        """Announce that a thing looks different, and is listed as before."""


class NoCache:
    """For whoever serves nobody: makes every answer, and lets a task announce its changes."""

    async def get(self, key: Key, make: Make) -> Entry:  # noqa: ARG002  the protocol's
        """Return the answer, made now."""
        return await make()

    async def cut(self, piece: Piece) -> Entry:
        """Return the piece, made now by itself."""
        return await piece.make()

    async def changed(self, *topics: str, mark: str = "") -> None:
        """Do nothing: the database enqueues `cache.refresh` for every change."""

    async def touched(self, topic: str, *listings: str, mark: str = "") -> None:
        """Do nothing."""


async def no_shape() -> str:
    """Tell all answers of a store for the same."""
    return ""


def open_store(url: str, shape: Shape = no_shape) -> Store:
    """Return the store of a `redis://`, `rediss://` or `memory://` URL.

    Answers of one `shape` are not those of another: a release that renders otherwise, or another
    database. It is asked once, before any is read or written.
    """
    return MemoryStore() if url.startswith("memory:") else RedisStore(url, shape)
