"""How many streams of events a client and a process may have open, and for how long."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from infra import metrics
from services.errors import RateLimited

MAX_OF_CLIENT = 20
# Each asks the database three times a second.
MAX_OF_PROCESS = 200
# A stream ends then, and the client resumes it: whom nobody hears any more holds nothing for long.
MAX_SECONDS = 300.0
RETRY_AFTER_SECONDS = 10


class Streams:
    """The streams of one process that are open."""

    def __init__(self, of_client: int = MAX_OF_CLIENT, of_process: int = MAX_OF_PROCESS) -> None:
        self._of_client = of_client
        self._of_process = of_process
        self._open: Counter[str] = Counter()

    @contextmanager
    def one(self, client: str, *, is_exempt: bool = False) -> Iterator[None]:
        """Count a stream while it is open; a client that is exempt may have any number.

        Raises:
            RateLimited: the client, or the process, has too many already.

        """
        if not is_exempt and self._open[client] >= self._of_client:
            raise self._refusal(self._of_client)
        if self._open.total() >= self._of_process:
            raise self._refusal(self._of_process)
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]

    def _refusal(self, limit: int) -> RateLimited:
        metrics.count_refusal("streams")
        return RateLimited(limit, RETRY_AFTER_SECONDS, RETRY_AFTER_SECONDS)
