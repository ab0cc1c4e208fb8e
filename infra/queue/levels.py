"""Where the scan for due tasks starts, for each kind of task and each of its priorities.

While an old snapshot is open anywhere in the database, the index of due tasks keeps the entries of
all tasks that ran since. Each scan from the first entry reads them again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

# A row may become visible so long after the time from which it is due. A later one is found when
# the relay scans all.
LATE_COMMIT = timedelta(milliseconds=100)
MAX_LEVELS = 64
LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1


class Levels:
    """The priorities that tasks of each kind have had, and from when on such a task may be due."""

    def __init__(self) -> None:
        self._due_from: dict[str, dict[int, datetime | None]] = {}

    def of(self, name: str) -> list[tuple[str, int, datetime | None]]:
        """Return the known priorities of a kind: name, priority, where its scan starts."""
        return [(name, priority, start) for priority, start in self._known(name).items()]

    def gaps(self, name: str) -> list[tuple[str, int, int]]:
        """Return the ranges between the known priorities of a kind: name, above, below."""
        bounds = [LOWEST - 1, *sorted(self._known(name)), HIGHEST + 1]
        return [(name, above, below) for above, below in pairwise(bounds)]

    def published(self, name: str, priority: int, available_at: datetime) -> None:
        """Note the latest published task of a kind and priority: no earlier one is left."""
        known = self._known(name)
        if priority not in known and len(known) >= MAX_LEVELS:
            known.clear()
        known[priority] = available_at - LATE_COMMIT

    def exhausted(self, names: Iterable[str], at: datetime) -> None:
        """Note that nothing of these kinds is left that was due at a time."""
        for name in names:
            self._due_from[name] = dict.fromkeys(self._known(name), at - LATE_COMMIT)

    def scan_all(self) -> None:
        """Start the next scan at the first entry of each."""
        for name in self._due_from:
            self._due_from[name] = dict.fromkeys(self._known(name))

    def _known(self, name: str) -> dict[int, datetime | None]:
        # Most tasks have the priority 0.
        return self._due_from.setdefault(name, {0: None})
