"""The level that processes share: answers, each with the version of its topic it was made under.

A version is a unique value, never a count: the server may evict it, and one made afresh equals
none before it. Whoever changes a topic sets a new version after the commit; whoever fills an
answer takes the version before asking the database. So an old answer is never taken for a new one.
A touch is the smaller change: one thing looks different, and is listed where it was. A mask makes
one smaller, too: of answers that each have a bit, only some can be concerned.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from infra.cache.entry import Entry, Key

# A version outlives every answer made under it; losing one costs a miss.
VERSION_SECONDS = 3600
# Longer than any query that fills; a filler that dies holds up the others no longer.
TURN_SECONDS = 2.0
# How long one who makes answers before announcing may take; from then on nobody waits for that.
PROMISE_SECONDS = 0.8
# Who asks whether a change was announced asks within moments of it.
MARK_SECONDS = 60

Shape = Callable[[], Awaitable[str]]


class CacheAway(Exception):
    """The shared cache did not answer in time, or refused"""


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has of a key: its topic's version, and the answer if made under that one."""

    version: bytes | None
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Fresh:
    """Answers made after a change and before it is announced, and what versions were by then.

    `since` is by topic, as `Store.lines` told before the first of them was made.
    """

    since: Mapping[str, bytes | None]
    entries: Sequence[tuple[Key, Entry, float]]


@dataclass(frozen=True, slots=True)
class Turn:
    """The version to fill under, and whether nobody else is filling already."""

    version: bytes
    is_ours: bool


class Link(Protocol):
    """The wire on which changes are heard: what was read stays true while it holds."""

    @property
    def hears(self) -> bool:
        """Tell whether changes are heard: each before the answer to a question asked after it."""
        ...

    @property
    def is_up(self) -> bool:
        """Tell whether changes are heard, and the store may be asked."""
        ...

    def suspect(self) -> None:
        """Doubt the server until it has answered once more: a call to it has failed."""

    async def barrier(self) -> bool:
        """Hear every change that was stored before this call; False if that can't be known."""
        ...

    async def run(self) -> None:
        """Hold the wire, and take it up again whenever it breaks, until cancelled."""


@dataclass(frozen=True, slots=True)
class Listener:
    """What a link calls: `up` before it counts as up; it is not if that raises `CacheAway`."""

    up: Callable[[], Awaitable[None]]
    sure_until: Callable[[float], None]
    changed: Callable[[str | None], None]
    down: Callable[[], None]


class Store(Protocol):
    """Answers and versions. Every call but `is_connected` and `close` may raise `CacheAway`."""

    async def attach(self) -> None:
        """Learn the shape, and which server answers now; its earlier lives are not looked at."""

    async def read(self, key: Key) -> Found:
        """Return what there is of a key."""
        ...

    async def lacking(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of the keys of which there is no answer."""
        ...

    async def begin(self, key: Key, version: bytes | None) -> Turn:
        """Make the version if there is none, and ask for the turn to fill if that is slow."""
        ...

    async def release(self, key: Key, version: bytes) -> None:
        """Let the turn go: nothing came of it."""

    async def write(self, key: Key, version: bytes, entry: Entry, seconds: float) -> None:
        """Store an answer made under a version, and let the turn go."""

    async def lines(self, topics: Sequence[str]) -> dict[str, bytes | None]:
        """Return what the versions of topics are."""
        ...

    async def renew(
        self, topics: Collection[str], mark: str = "", fresh: Fresh | None = None
    ) -> None:
        """Give topics new versions: all answers about them are old from now on.

        Of a topic with a mask (`infra.cache.entry.masked`) those that the mask picks.
        Not so the `fresh` ones, of some of the topics, unless a version has changed since: somebody
        may have announced a change that they do not show.
        """

    async def promise(self, mark: str) -> None:
        """Say that this mark will be left by a renewal, within PROMISE_SECONDS or not at all."""

    async def is_promised(self, mark: str) -> bool:
        """Tell whether this mark may still be left."""
        ...

    async def touch(self, topic: str, listings: Collection[str], mark: str = "") -> None:
        """Renew one thing's topic; of the answers about `listings` those that show it are old."""

    async def is_marked(self, mark: str) -> bool:
        """Tell whether this mark was left by a renewal or touch, not long ago."""
        ...

    async def count(self, reads: Mapping[str, int]) -> None:
        """Add how often keys were read, by name."""

    async def top(self, number: int) -> list[str]:
        """Return the names of the keys that are read most, the first one most."""
        ...

    def link(self, listener: Listener) -> Link | None:
        """Return the wire to hear of changes on; None if there is none."""
        ...

    async def is_connected(self) -> bool:
        """Tell whether the store answers."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
