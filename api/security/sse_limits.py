"""Limits of server-sent event streams, and their end when the server stops."""

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

# Counted over all processes of an instance.
MAX_OF_CLIENT = 20
# Clients resume a stream that ends; a dead connection holds a slot no longer than this.
MAX_SECONDS = 300.0
RETRY_AFTER_SECONDS = 10
# Clients of a stopping server resume after a random time in this range, to spread the load.
RESUME_MILLISECONDS = (1000, 3000)


class Streams:
    """The open streams of one process; `slots` are its part of the instance's table."""

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
        """Count a stream while it is open; only the process's limit applies to exempt clients.

        Raises:
            RateLimited: the client on this instance, or this process, has too many streams.

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
        """End all streams, current and future."""
        self.ending.set()

    async def pause(self, until: asyncio.Event, seconds: float) -> bool:
        """Wait for an event, at most so long; return True at once if the stream must end."""
        waits = [asyncio.create_task(each.wait()) for each in (self.ending, until)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        return self.ending.is_set()

    def _refusal(self, limit: int) -> RateLimited:
        metrics.rate_limit_refusals.inc(labels=("streams",))
        return RateLimited(limit, RETRY_AFTER_SECONDS, RETRY_AFTER_SECONDS)


def restart_event() -> str:
    """Return the last event of a stream of a stopping server, with the time until a retry.

    `retry` is for EventSource, which applies it; the data are for other clients.
    """
    first, last = RESUME_MILLISECONDS
    milliseconds = first + secrets.randbelow(last - first)
    data = f'{{"retry_milliseconds":{milliseconds}}}'
    return f"retry: {milliseconds}\nevent: restart\ndata: {data}\n\n"
