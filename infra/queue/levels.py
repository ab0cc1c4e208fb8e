"""Where the scan for due tasks starts, for each kind of task and each of its priorities.

While any transaction keeps an old snapshot open, the index of due tasks keeps the entries of all
tasks that ran since. Each scan from the first entry reads these entries again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

# The delay that scans allow between a row's due time and its commit. The next full scan finds rows
# with a longer delay.
LATE_COMMIT = timedelta(milliseconds=100)
MAX_LEVELS = 64
LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1


class Levels:
    """The known priorities of each kind, and the earliest due time that each may still have."""

    def __init__(self) -> None:
        self._due_from: dict[str, dict[int, datetime | None]] = {}

    def of(self, name: str) -> list[tuple[str, int, datetime | None]]:
        """Return the known priorities of a kind: name, priority, start of its scan."""
        return [(name, priority, start) for priority, start in self._known(name).items()]

    def gaps(self, name: str) -> list[tuple[str, int, int]]:
        """Return the ranges between the known priorities of a kind: name, above, below."""
        bounds = [LOWEST - 1, *sorted(self._known(name)), HIGHEST + 1]
        return [(name, above, below) for above, below in pairwise(bounds)]

    def published(self, name: str, priority: int, available_at: datetime) -> None:
        """Store the due time of the last published task: no earlier task of its level is left."""
        known = self._known(name)
        if priority not in known and len(known) >= MAX_LEVELS:
            known.clear()
        known[priority] = available_at - LATE_COMMIT

    def exhausted(self, names: Iterable[str], at: datetime) -> None:
        """Record that no task of these kinds is left that was due at a time."""
        for name in names:
            self._due_from[name] = dict.fromkeys(self._known(name), at - LATE_COMMIT)

    def scan_all(self, names: Iterable[str] | None = None) -> None:
        """Start the next scan of each level of these kinds, or of all, at the first entry."""
        for name in list(self._due_from) if names is None else names:
            self._due_from[name] = dict.fromkeys(self._known(name))

    def _known(self, name: str) -> dict[int, datetime | None]:
        # Most tasks have the priority 0.
        return self._due_from.setdefault(name, {0: None})
