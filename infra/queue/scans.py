"""How often a scan starts at the first entry of its index, rather than where the last one ended.

While any transaction keeps an old snapshot open, an index keeps the entries of all tasks that ran
since, so full scans become slower and slower.
"""

import time

LEAST_SECONDS = 1.0
# The share of the time that full scans may take.
MAX_SHARE = 0.05


class FullScans:
    """The full scans of one relay: every `LEAST_SECONDS`, less often if they are slow."""

    def __init__(self) -> None:
        self._due_at = float("-inf")
        self._began_at: float | None = None

    def begin(self) -> bool:
        """Return whether to start a full scan now."""
        now = time.monotonic()
        if now >= self._due_at:
            self._began_at = now
        return self._began_at is not None

    def end(self) -> None:
        """Record the end of a scan, full or not."""
        if self._began_at is not None:
            now = time.monotonic()
            self._due_at = max(
                self._began_at + LEAST_SECONDS, now + (now - self._began_at) / MAX_SHARE
            )
            self._began_at = None
