"""What is cached: an answer as ready bytes, the key it is found under, the topic it is about."""

import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol, Self

_HEAD = struct.Struct(">16sqqqH")
_NO_NUMBER = -1
_MASK = "*"


@dataclass(frozen=True, slots=True)
class Key:
    """Where an answer is found.

    A change of the `topic` makes it old; where it has a `bit`, one with a mask does so only if the
    mask has that bit. Where it `lists` things by their ids, so does a touch of one that it shows. A
    `rare` one, such as a search, is one of endlessly many: those share a small part of the room, so
    that they drive nothing else out. A `slow` one is worth waiting for while another process makes
    it. What makes a `slotted` one bounds by itself how many are made at once.
    """

    name: str
    topic: str
    rare: bool = False
    slow: bool = False
    lists: bool = False
    bit: int | None = None
    slotted: bool = False

    def is_about(self, topic: str) -> bool:
        """Tell whether a change of a topic, or of what a mask picks of one, is one of it."""
        name, mask = parted(topic)
        return self.topic == name and is_picked(mask, self.bit)


def masked(topic: str, bits: Iterable[int]) -> str:
    """Return the part of a topic that these bits pick: answers with another bit stay true."""
    return f"{topic}{_MASK}{sum(1 << bit for bit in set(bits)):x}"


def parted(topic: str) -> tuple[str, int | None]:
    """Return a topic without its mask, and the mask; None: all of it is meant."""
    name, found, mask = topic.partition(_MASK)
    return name, int(mask, 16) if found else None


def is_masked(topic: str) -> bool:
    """Tell whether a part of a topic is meant."""
    return _MASK in topic


def is_picked(mask: int | None, bit: int | None) -> bool:
    """Tell whether an answer with this bit is meant; one without is by every mask."""
    return mask is None or bit is None or bool(mask >> bit & 1)


def id_of(topic: str) -> bytes:
    """Return the id that lists show of a topic (`course:ID`); empty if it is not one thing's."""
    return topic.partition(":")[2].encode()


class Prepared(Protocol):
    """What was made of an entry once, for whoever sends it."""

    @property
    def size(self) -> int:
        """How many bytes it takes, about."""

    def renewed(self, entry: "Entry") -> Self:
        """Return the same of the entry that takes the place of the one it was made of."""


class Page(NamedTuple):
    """Which page of a listing an answer is: what the links to the other pages are made of.

    `query` has the parameters that all pages share, encoded.
    """

    number: int
    limit: int
    query: str = ""


@dataclass(slots=True, eq=False)
class Entry:
    """An answer: the bytes of its body, how many rows there are if it says so, a digest of both.

    An answer that is one page of a listing says which in `page`.
    A `fleeting` one will soon be another without anybody telling, and is kept nowhere.
    `prepared` is free for whoever sends it: what is made of the entry once, the head of the
    response say, can be kept there. It is in this process only.
    """

    body: bytes
    digest: str
    total: int | None = None
    page: Page | None = None
    fleeting: bool = False
    prepared: Prepared | None = None

    @classmethod
    def of(
        cls,
        body: bytes,
        total: int | None = None,
        page: Page | None = None,
        *,
        fleeting: bool = False,
    ) -> Self:
        """Return the entry of a body."""
        digest = blake2b(body, digest_size=16, key=str(total).encode())
        return cls(body, digest.hexdigest(), total, page, fleeting)

    def packed(self) -> bytes:
        """Return the entry as bytes."""
        total = _NO_NUMBER if self.total is None else self.total
        number, limit, query = self.page or (_NO_NUMBER, _NO_NUMBER, "")
        shared = query.encode()
        head = _HEAD.pack(bytes.fromhex(self.digest), total, number, limit, len(shared))
        return b"".join((head, shared, self.body))

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """Return the entry of these bytes."""
        digest, total, number, limit, length = _HEAD.unpack_from(packed)
        start = _HEAD.size + length
        query = packed[_HEAD.size : start].decode()
        return cls(
            packed[start:],
            digest.hex(),
            None if total == _NO_NUMBER else total,
            None if number == _NO_NUMBER else Page(number, limit, query),
        )


Make = Callable[[], Awaitable[Entry]]


@dataclass(frozen=True, slots=True)
class Piece:
    """An answer that is cut from another one, the `whole`, in less time than it takes to fetch it.

    Kept in memory only, as long as the whole. `make` is for whoever keeps nothing.
    """

    key: Key
    whole: Key
    make_whole: Make
    cut: Callable[[Entry], Entry]
    make: Make
