"""What is cached: a response body as ready bytes, its key, and the changes that make it old."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple, Protocol, Self

import orjson

_END = b"\n"


@dataclass(frozen=True, slots=True)
class Key:
    """The name of an entry, and how it is filled and kept.

    `subject` is the id of the one thing that the entry shows; a list of things has none. Entries of
    the `long_tail` are unbounded in number and share a small part of the memory. `lock_on_fill`:
    one process fills it at a time. `limits_itself`: the fill bounds its own concurrency.
    """

    name: str
    subject: str | None = None
    long_tail: bool = False
    lock_on_fill: bool = False
    limits_itself: bool = False


class Prepared(Protocol):
    """What the sender derives from an entry once, such as the heads of its responses."""

    @property
    def size(self) -> int:
        """The bytes it takes, about."""

    def renewed(self, entry: "Entry") -> Self:
        """Return the same for the entry that replaces its own."""


class Page(NamedTuple):
    """The place of a page in its listing; `query` has the parameters that all pages share."""

    number: int
    limit: int
    query: str = ""


@dataclass(slots=True, eq=False)
class Entry:
    """A response body, the number of rows in all if it has one, and a digest of both.

    `version` is the database's, read in the same statement as the data. A `no_store` entry is
    cached nowhere. `prepared` is the sender's, in this process only. `stale_seconds`: how long ago
    the entry was last known to be current, if it may be old.
    """

    body: bytes
    digest: str
    total: int | None = None
    page: Page | None = None
    version: int = 0
    no_store: bool = False
    prepared: Prepared | None = None
    stale_seconds: float | None = None

    @classmethod
    def of(
        cls, body: bytes, total: int | None = None, page: Page | None = None, version: int = 0
    ) -> Self:
        """Return the entry of a body."""
        digest = blake2b(body, digest_size=16, key=str(total).encode())
        return cls(body, digest.hexdigest(), total, page, version)

    def stale(self, seconds: float) -> Self:
        """Return a stale copy; senders of the current entry are not told."""
        return replace(self, prepared=None, stale_seconds=seconds)

    def packed(self) -> bytes:
        """Return the entry as bytes."""
        page = self.page and tuple(self.page)
        head = orjson.dumps((self.digest, self.total, page, self.version))
        return b"".join((head, _END, self.body))

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """Return the entry of these bytes."""
        head, _, body = packed.partition(_END)
        digest, total, page, version = orjson.loads(head)
        return cls(body, digest, total, page and Page(*page), version)


Make = Callable[[], Awaitable[Entry]]


@dataclass(frozen=True, slots=True)
class Slice:
    """A page that is cut from a block of rows, faster than it could be fetched.

    It is kept in memory only, as long as its block. `make` is for a process that caches nothing.
    """

    key: Key
    block: Key
    make_block: Make
    cut: Callable[[Entry], Entry]
    make: Make
