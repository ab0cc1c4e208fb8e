"""The cache as a worker reaches it: it remembers nothing, so there is nothing to keep true."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from infra.cache.answers import lasting, wait_for
from infra.cache.entry import Entry, Key, Make, Piece
from infra.cache.store import CacheAway, Store
from infra.observability import logs

LOOK_SECONDS = 1.0
LOOK_FOR_MARK_SECONDS = 0.03

log = logs.get_logger(__name__)


class Outpost:
    """Looks anew which server answers: it hears nothing of one that starts again.

    Each time to announce, and once a second to read: what is kept for a server that is gone is seen
    by nobody.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._look_again_at = 0.0

    async def get(self, key: Key, make: Make) -> Entry:
        """Return the answer of a key; store it if it had to be made.

        Raises:
            CacheAway: the store can't be asked or has not taken it; whatever `make` raises.

        """
        await self._attach()
        found = await self.store.read(key)
        if found.entry is not None:
            return found.entry
        turn = await self.store.begin(key, found.version)
        if not turn.is_ours and (made := await wait_for(self.store, key, turn)):
            return made
        try:
            entry = await make()
        except Exception:
            if turn.is_ours and key.slow:
                with suppress(CacheAway):
                    await self.store.release(key, turn.version)
            raise
        if not entry.fleeting:
            await self.store.write(key, turn.version, entry, lasting())
        return entry

    async def cut(self, piece: Piece) -> Entry:
        """Return a piece of an answer; store the whole if it had to be made.

        Raises:
            CacheAway: as `get` does; whatever `make_whole` raises.

        """
        return piece.cut(await self.get(piece.whole, piece.make_whole))

    async def lacking(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of the keys of which there is no answer.

        Raises:
            CacheAway: the store can't be asked.

        """
        await self._attach()
        return await self.store.lacking(keys)

    async def top(self, number: int) -> list[str]:
        """Return the names of what is read most.

        Raises:
            CacheAway: the store can't be asked.

        """
        await self._attach()
        return await self.store.top(number)

    async def changed(self, *topics: str, mark: str = "") -> None:
        """Announce at once what the task `cache.refresh` will announce for sure."""
        await self._try(lambda: self.store.renew(topics, mark))

    async def touched(self, topic: str, *listings: str, mark: str = "") -> None:
        """Announce at once that a thing looks different."""
        await self._try(lambda: self.store.touch(topic, listings, mark))

    async def announce(self, topics: Collection[str]) -> None:
        """Announce changes.

        Raises:
            CacheAway: the store has not taken them.

        """
        await self.store.attach()
        await self.store.renew(topics)

    async def is_announced(self, mark: str) -> bool:
        """Tell whether whoever made the change of this mark has announced it, once that is known.

        Raises:
            CacheAway: the store can't be asked.

        """
        await self.store.attach()
        while await self.store.is_promised(mark):
            if await self.store.is_marked(mark):
                return True
            await asyncio.sleep(LOOK_FOR_MARK_SECONDS)
        return await self.store.is_marked(mark)

    async def close(self) -> None:
        """Give the connections back."""
        await self.store.close()

    async def _attach(self) -> None:
        now = time.monotonic()
        if now >= self._look_again_at:
            await self.store.attach()
            self._look_again_at = now + LOOK_SECONDS

    async def _try(self, tell: Callable[[], Awaitable[None]]) -> None:
        try:
            await self.store.attach()
            await tell()
        except CacheAway as error:
            log.warning("cache_away", error=str(error))
