"""The store of `memory://`: this process alone, so nobody else's changes are heard of."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from infra.cache import version
from infra.cache.entry import Entry, Key, id_of, is_masked, parted
from infra.cache.store import MARK_SECONDS, TURN_SECONDS, Found, Fresh, Listener, Turn

MAX_ANSWERS = 1000
MAX_VERSIONS = 10_000


class MemoryStore:
    """Answers and versions in tables; without a link they are never believed, only promised."""

    def __init__(self) -> None:
        self._versions: dict[str, bytes] = {}
        self._answers: dict[str, tuple[bytes, Entry, float]] = {}
        self._turns: dict[tuple[str, bytes], float] = {}
        self._marks: dict[str, float] = {}
        self._reads: Counter[str] = Counter()

    async def attach(self) -> None:
        """Do nothing: there is no server."""

    async def read(self, key: Key) -> Found:
        """Return what there is of a key."""
        lines = self._versions.get(key.topic)
        if lines is None:
            return Found(None, None)
        made_under, entry, expires = self._answers.get(key.name, (b"", None, 0.0))
        is_valid = (
            entry is not None
            and time.monotonic() < expires
            and version.holds(made_under, lines, entry.body, key)
        )
        return Found(version.token(lines), entry if is_valid else None)

    async def lacking(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of the keys of which there is no answer."""
        return [key for key in keys if (await self.read(key)).entry is None]

    async def begin(self, key: Key, made_under: bytes | None) -> Turn:
        """Make the version if there is none, and ask for the turn to fill if that is slow."""
        if made_under is None:
            if key.topic not in self._versions:
                await self.renew([key.topic])
            made_under = version.token(self._versions[key.topic])
        if not key.slow:
            return Turn(made_under, is_ours=True)
        now = time.monotonic()
        _end(self._turns, now)
        turn = (key.name, made_under)
        is_ours = turn not in self._turns
        self._turns.setdefault(turn, now + TURN_SECONDS)
        return Turn(made_under, is_ours=is_ours)

    async def release(self, key: Key, made_under: bytes) -> None:
        """Let the turn go."""
        self._turns.pop((key.name, made_under), None)

    async def write(self, key: Key, made_under: bytes, entry: Entry, seconds: float) -> None:
        """Store an answer under its version, and let the turn go."""
        self._answers.pop(key.name, None)
        self._answers[key.name] = (made_under, entry, time.monotonic() + seconds)
        await self.release(key, made_under)
        if len(self._answers) > MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]

    async def lines(self, topics: Sequence[str]) -> dict[str, bytes | None]:
        """Return what the versions of topics are."""
        return {topic: self._versions.get(topic) for topic in topics}

    async def renew(
        self, topics: Collection[str], mark: str = "", fresh: Fresh | None = None
    ) -> None:
        """Give topics new versions, and keep the fresh answers if none had changed."""
        holds = fresh is not None and await self.lines(list(fresh.since)) == fresh.since
        for topic in topics:
            name, _ = parted(topic)
            before = self._versions.get(name, b"") if is_masked(topic) else b""
            self._set(name, before + version.line_of(topic))
        for key, entry, seconds in fresh.entries if fresh and holds else ():
            await self.write(key, version.token(self._versions[key.topic]), entry, seconds)
        self._leave(mark)

    async def promise(self, mark: str) -> None:
        """Do nothing: nobody else sees the marks."""

    async def is_promised(self, mark: str) -> bool:  # noqa: ARG002  the protocol's
        """Tell that it is not: what is left here is left at once."""
        return False

    async def touch(self, topic: str, listings: Collection[str], mark: str = "") -> None:
        """Give a thing a new version, and note beside the listings' that it was touched."""
        for listing in listings:
            self._set(listing, self._versions.get(listing, b"") + version.line(id_of(topic)))
        self._set(topic, version.line())
        self._leave(mark)

    async def is_marked(self, mark: str) -> bool:
        """Tell whether this mark was left not long ago."""
        _end(self._marks, time.monotonic())
        return mark in self._marks

    async def count(self, reads: Mapping[str, int]) -> None:
        """Add how often keys were read."""
        self._reads.update(reads)

    async def top(self, number: int) -> list[str]:
        """Return the names that are read most."""
        return [name for name, _ in self._reads.most_common(number)]

    def link(self, listener: Listener) -> None:  # noqa: ARG002  the protocol's
        """Return none: what a process remembers without it, it remembers for less than 1 s."""
        return

    async def is_connected(self) -> bool:
        """Tell that it is there."""
        return True

    async def close(self) -> None:
        """Do nothing."""

    def _set(self, topic: str, lines: bytes) -> None:
        self._versions.pop(topic, None)
        self._versions[topic] = lines if len(lines) <= version.MAX_BYTES else version.line()
        # As with a server that evicts: losing one costs a miss.
        if len(self._versions) > MAX_VERSIONS:
            del self._versions[next(iter(self._versions))]

    def _leave(self, mark: str) -> None:
        now = time.monotonic()
        _end(self._marks, now)
        if mark:
            self._marks.pop(mark, None)
            self._marks[mark] = now + MARK_SECONDS


def _end(lasting: dict[Any, float], now: float) -> None:
    """Drop what has ended; all last as long, so the first of them ends first."""
    while lasting and next(iter(lasting.values())) <= now:
        del lasting[next(iter(lasting))]
