"""What a worker's main process tells its processes: of which queues they take no more tasks."""

import mmap
from collections.abc import Iterable


class Stops:
    """A byte for each queue, and one for all of them, in memory that forked processes share."""

    def __init__(self, queues: Iterable[str] = ()) -> None:
        self._places = {queue: place for place, queue in enumerate((None, *queues))}
        self._stopped = mmap.mmap(-1, len(self._places))

    def stop(self, queue: str | None = None) -> None:
        """Let the processes take no more tasks of a queue, or of any."""
        self._set(queue, 1)

    def resume(self, queue: str) -> None:
        """Let them take tasks of a queue again."""
        self._set(queue, 0)

    def has_stopped(self, queue: str) -> bool:
        """Return whether no more tasks of a queue are to be taken."""
        return any(self._stopped[self._places.get(each, 0)] for each in (None, queue))

    def _set(self, queue: str | None, value: int) -> None:
        # A worker may consume a queue of which it knows no tasks.
        if queue is None or queue in self._places:
            self._stopped[self._places[queue]] = value
