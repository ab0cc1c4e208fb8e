"""Cache entries and their keys: response bodies as ready bytes, with the version of their data."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple, Protocol, Self

import orjson

_END = b"\n"


@dataclass(frozen=True, slots=True)
class Key:
    """The name of an entry, and how it is filled and kept.

    `subject` is the id of the one thing that the entry shows; None stands for a list. Entries of
    the `long_tail` are unbounded in number and share a small part of the memory. With
    `lock_on_fill` one process at a time fills the entry. With `limits_itself` the fill bounds its
    own concurrency.
    """

    name: str
    subject: str | None = None
    long_tail: bool = False
    lock_on_fill: bool = False
    limits_itself: bool = False


class Prepared(Protocol):
    """Data that the sender derives from an entry once, such as its header templates."""

    @property
    def size(self) -> int:
        """The approximate size in bytes."""

    def renewed(self, entry: "Entry") -> Self:
        """Return the data of the entry that replaces this one's."""


class Page(NamedTuple):
    """The position of a page in its listing; `query` has the parameters that all pages share."""

    number: int
    limit: int
    query: str = ""


@dataclass(slots=True, eq=False)
class Entry:
    """A response body, the total number of rows if it is a list, and a digest of both.

    `version` is the catalogue version, read in the same statement as the data. No tier keeps a
    `no_store` entry. `prepared` belongs to the sender, in this process only. `stale_seconds` is the
    time since the entry was last known to be current; None if it is current.
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

    def aged(self, seconds: float | None) -> Self:
        """Return a stale copy, or the entry itself if `seconds` is None."""
        return self if seconds is None else replace(self, prepared=None, stale_seconds=seconds)

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
    """A page that is cut from a block, which is faster than a query.

    Memory alone keeps it, as long as its block. `make` is for a process that caches nothing.
    """

    key: Key
    block: Key
    make_block: Make
    cut: Callable[[Entry], Entry]
    make: Make
