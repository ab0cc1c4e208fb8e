"""The states that a reader may see while others write, the observed ones, and the report."""

import os
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from loadtests.bench import results
from loadtests.load.machine import Machine

STALE_SECONDS = 1.0
OWN, LATE, STAYS = "own past", "other instance, after more than 1 s", "for ever"
REPORT = """\
# Stale reads under stress, {date}

{machine}.

`make test-cache`: two instances of two processes on one Redis, which is mistreated meanwhile. The
oldest that the other instance showed had been replaced {worst} ms before it was asked.

| | |
|---|---:|
{rows}
"""


@dataclass
class Course:
    """A course, the instance that takes its writes, and the time of each answered write.

    If its writers disconnect, it has no home instance: the database has the writes, and every
    instance may show them late.
    """

    id: str
    home: int
    word: str
    is_pictured: bool = False
    answered: list[float] = field(default_factory=list)
    # By the task that creates it, the number of the write that added this image.
    pictures: dict[str, int] = field(default_factory=dict)
    # A guest enrols with write 1 and leaves with write 2; whether that write has begun.
    is_guest: bool = False
    is_leaving: bool = False

    def due(self, at: float) -> int:
        """Return the number of the last write answered before a time."""
        return bisect_right(self.answered, at) - 1


@dataclass
class Verdict:
    """The observations: the greatest staleness on other instances, and every breach."""

    worst_seconds: float = 0.0
    breaches: list[str] = field(default_factory=list)
    stale: Counter = field(default_factory=Counter)
    reads: Counter = field(default_factory=Counter)
    mischief: Counter = field(default_factory=Counter)
    hits: list[float] = field(default_factory=list)
    writes: int = 0
    guests: int = 0
    hang_ups: Counter = field(default_factory=Counter)

    def see(self, course: Course, instance: int, began: float, seen: int, what: str) -> None:
        """Judge a read that began at this time and saw this number through this instance."""
        self.reads[what] += 1
        if seen >= course.due(began):
            return
        # The first missing write: since its response it could have been seen.
        late = began - course.answered[seen + 1]
        if instance != course.home:
            self.worst_seconds = max(self.worst_seconds, late)
        if instance == course.home or late > STALE_SECONDS:
            self._note(OWN if instance == course.home else LATE, what, f"{seen + 1}, {late:.3f} s")

    def see_at_the_end(self, course: Course, seen: int, what: str) -> None:
        """Judge a read at a time when no write is recent enough to be missing."""
        self.reads[what] += 1
        last = len(course.answered) - 1
        if seen != last:
            self._note(STAYS, what, f"{seen} of {last}")

    def _note(self, kind: str, what: str, which: str) -> None:
        self.stale[kind] += 1
        self.breaches.append(f"{kind}: {what}, write {which}")

    def report(self, machine: Machine) -> str:
        """Return the report as a page."""
        rows: dict[str, float] = {
            "writes": self.writes,
            "courses created and deleted": self.guests,
            **{f"clients that hung up: {what}": n for what, n in sorted(self.hang_ups.items())},
            "reads": self.reads.total(),
            **{f"reads: {what}": number for what, number in sorted(self.reads.items())},
            **{f"stale reads: {kind}": self.stale[kind] for kind in (OWN, LATE, STAYS)},
            **{f"Redis: {what}": number for what, number in sorted(self.mischief.items())},
            **{f"hits of memory, instance {n}": int(hits) for n, hits in enumerate(self.hits, 1)},
        }
        return REPORT.format(
            date=datetime.now(UTC).date(),
            machine=machine,
            worst=round(self.worst_seconds * 1000),
            rows="\n".join(f"| {what} | {number:,} |" for what, number in rows.items()),
        )


def write(report: str) -> None:
    """Write the report into the folder of CACHE_REPORT, if set."""
    if folder := os.environ.get("CACHE_REPORT"):
        results.remove("cache-stress", Path(folder))
        name = f"cache-stress-{datetime.now(UTC).date()}.md"
        (Path(folder) / name).write_text(report, encoding="utf-8")
