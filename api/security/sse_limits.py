"""How many streams of events a client and a process may have open, for how long, and their end."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from infra.observability import metrics
from infra.rate_limits.stream_table import (
    SLOTS,
    Slots,
    StreamTable,
    TooManyClientStreams,
    TooManyProcessStreams,
)
from services.errors import RateLimited

# In all processes of an instance together.
MAX_OF_CLIENT = 20
# A stream ends then, and the client resumes it: whom nobody hears any more holds nothing for long.
MAX_SECONDS = 300.0
RETRY_AFTER_SECONDS = 10
# When clients come back that a stopping server has sent away: not all at once.
RESUME_MILLISECONDS = (1000, 3000)


class Streams:
    """The streams of one process that are open; `slots` are its part of the instance's table."""

    def __init__(
        self,
        slots: Slots | None = None,
        of_client: int = MAX_OF_CLIENT,
        of_process: int = SLOTS,
    ) -> None:
        self._slots = slots or StreamTable(1, of_process).of(0)
        self._of_client = of_client
        self.ending = asyncio.Event()

    @contextmanager
    def one(self, client: str, *, is_exempt: bool = False) -> Iterator[None]:
        """Count a stream while it is open; a client that is exempt may have any number.

        Raises:
            RateLimited: the client has too many on this instance, or this process has.

        """
        try:
            slot = self._slots.take(client, None if is_exempt else self._of_client)
        except TooManyClientStreams:
            raise self._refusal(self._of_client) from None
        except TooManyProcessStreams:
            raise self._refusal(len(self._slots)) from None
        try:
            yield
        finally:
            self._slots.free(slot)

    def end(self) -> None:
        """Send all clients away, now and from now on."""
        self.ending.set()

    async def pause(self, seconds: float) -> bool:
        """Wait between two looks at what a stream shows; tell whether it has to end."""
        try:
            async with asyncio.timeout(seconds):
                return await self.ending.wait()
        except TimeoutError:
            return False

    def _refusal(self, limit: int) -> RateLimited:
        metrics.count_refusal("streams")
        return RateLimited(limit, RETRY_AFTER_SECONDS, RETRY_AFTER_SECONDS)


def restart_event() -> str:
    """Return the last event of a stream whose server stops: it says when to come back.

    `retry` is for an EventSource, which obeys it; the data are for other clients.
    """
    first, last = RESUME_MILLISECONDS
    milliseconds = first + secrets.randbelow(last - first)
    data = f'{{"retry_milliseconds":{milliseconds}}}'
    return f"retry: {milliseconds}\nevent: restart\ndata: {data}\n\n"
