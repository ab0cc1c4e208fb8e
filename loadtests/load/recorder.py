"""Counts responses in a process of Locust; writes a line a second for the judge."""

import json
import os
import time
from pathlib import Path

from loadtests.load.endpoints import Endpoint
from loadtests.load.histogram import bucket
from loadtests.load.records import Row

_MILLISECONDS = 1000


class Recorder:
    """Rows of the running second; `start` is the shape's, by the monotonic clock."""

    def __init__(self, start: float, folder: Path | None) -> None:
        self.start = start
        self._folder = folder
        self._rows: dict[str, Row] = {}

    def note(
        self,
        endpoint: Endpoint,
        response_seconds: float,
        service_seconds: float,
        code: int = 0,
        error: str = "",
    ) -> None:
        """Count a response or an error."""
        row = self._rows.get(endpoint.title)
        if row is None:
            row = self._rows[endpoint.title] = Row()
        row.response.counts[bucket(response_seconds * _MILLISECONDS)] += 1
        row.service.counts[bucket(service_seconds * _MILLISECONDS)] += 1
        row.codes[str(code)] += 1
        if error:
            row.errors[error] += 1

    def flush(self) -> None:
        """Write the second that ends now."""
        rows, self._rows = self._rows, {}
        if not rows or self._folder is None:
            return
        second = max(0, round(time.monotonic() - self.start) - 1)
        line = {"second": second, "rows": {title: row.to_json() for title, row in rows.items()}}
        # Opened anew each time: Locust forks its processes, and each has a file.
        with (self._folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
