"""Responses by second and duration: written by Locust's processes, read by the judge.

A line a second a process: `{"second": 12, "rows": {title: {"response": {bucket: n}, "service":
{bucket: n}, "codes": {status: n}, "errors": {text: n}}}}`; seconds count from the shape's start.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.load import endpoints
from loadtests.load.histogram import Histogram


@dataclass
class Row:
    """The figures of one endpoint: `response` from when it was due, `service` from when sent."""

    response: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    codes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.response)

    def add(self, other: Row) -> None:
        """Count what the other one has counted."""
        self.response.add(other.response)
        self.service.add(other.service)
        self.codes.update(other.codes)
        self.errors.update(other.errors)

    def to_json(self) -> dict[str, Any]:
        """Return the row as a line holds it."""
        return {
            "response": self.response.counts,
            "service": self.service.counts,
            "codes": self.codes,
            "errors": self.errors,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        """Return the row that a line holds."""
        return cls(
            _histogram(data["response"]),
            _histogram(data["service"]),
            Counter(data["codes"]),
            Counter(data["errors"]),
        )


def _histogram(counts: dict[str, int]) -> Histogram:
    return Histogram({int(number): count for number, count in counts.items()})


class Records:
    """The lines of a folder's files, read again and again while they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_until: dict[Path, int] = {}
        self._seconds: dict[int, dict[str, Row]] = {}

    def read(self) -> None:
        """Read what was written since the last time."""
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read_until.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # half a line: it is whole the next time
                    self._read_until[path] = self._read_until.get(path, 0) + len(line)
                    self._add(json.loads(line))

    def _add(self, line: dict[str, Any]) -> None:
        rows = self._seconds.setdefault(line["second"], {})
        for title, data in line["rows"].items():
            rows.setdefault(title, Row()).add(Row.from_json(data))

    def between(self, start: float, end: float) -> dict[str, Row]:
        """Return a row for each endpoint that was answered within these seconds."""
        found: dict[str, Row] = {}
        for second, rows in self._seconds.items():
            if start <= second < end:
                for title, row in rows.items():
                    found.setdefault(title, Row()).add(row)
        order = list(endpoints.BY_TITLE)
        return {title: found[title] for title in sorted(found, key=order.index)}

    def over_time(self, start: float, end: float, width: int) -> Iterator[tuple[int, Row]]:
        """Return all requests together, for every `width` seconds."""
        for second in range(int(start), int(end), width):
            yield second, together(self.between(second, min(second + width, end)))


def together(rows: dict[str, Row], *, students_only: bool = False) -> Row:
    """Return all requests as one row; without what is not a request."""
    total = Row()
    for title, row in rows.items():
        endpoint = endpoints.BY_TITLE[title]
        if endpoint is not endpoints.IMAGE_READY and (
            not students_only or endpoint in endpoints.STUDENTS
        ):
            total.add(row)
    return total
