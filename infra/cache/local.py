"""The store of `memory://`: this process alone, so nobody else's changes are heard of."""

import os
import time
from collections import Counter
from collections.abc import Collection, Mapping

from infra.cache.entry import Entry, Key
from infra.cache.store import TURN_SECONDS, Found, Listener, Turn

VERSION_BYTES = 16
MAX_ANSWERS = 1000
MAX_VERSIONS = 10_000


class MemoryStore:
    """Answers and versions in tables; without a link they are never believed, only promised."""

    def __init__(self) -> None:
        self._versions: dict[str, bytes] = {}
        self._answers: dict[str, tuple[bytes, Entry, float]] = {}
        self._turns: dict[tuple[str, bytes], float] = {}
        self._reads: Counter[str] = Counter()

    async def attach(self) -> None:
        """Do nothing: there is no server."""

    async def read(self, key: Key) -> Found:
        """Return what there is of a key."""
        version = self._versions.get(key.topic)
        made_under, entry, expires = self._answers.get(key.name, (None, None, 0.0))
        is_valid = version is not None and made_under == version and time.monotonic() < expires
        return Found(version, entry if is_valid else None)

    async def begin(self, key: Key, version: bytes | None) -> Turn:
        """Make the version if there is none, and ask for the turn to fill if that is slow."""
        if version is None:
            if key.topic not in self._versions:
                await self.renew([key.topic])
            version = self._versions[key.topic]
        if not key.slow:
            return Turn(version, is_ours=True)
        now = time.monotonic()
        # All last as long, so the first of them ends first.
        while self._turns and next(iter(self._turns.values())) <= now:
            del self._turns[next(iter(self._turns))]
        turn = (key.name, version)
        is_ours = turn not in self._turns
        self._turns.setdefault(turn, now + TURN_SECONDS)
        return Turn(version, is_ours=is_ours)

    async def release(self, key: Key, version: bytes) -> None:
        """Let the turn go."""
        self._turns.pop((key.name, version), None)

    async def write(self, key: Key, version: bytes, entry: Entry, seconds: float) -> None:
        """Store an answer under its version, and let the turn go."""
        self._answers.pop(key.name, None)
        self._answers[key.name] = (version, entry, time.monotonic() + seconds)
        await self.release(key, version)
        if len(self._answers) > MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]

    async def renew(self, topics: Collection[str]) -> None:
        """Give topics new versions."""
        for topic in topics:
            self._versions.pop(topic, None)
            self._versions[topic] = os.urandom(VERSION_BYTES)
            # As with a server that evicts: losing one costs a miss.
            if len(self._versions) > MAX_VERSIONS:
                del self._versions[next(iter(self._versions))]

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
