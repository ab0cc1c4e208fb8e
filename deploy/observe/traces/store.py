"""The spans of the last hour, in one SQLite file."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

KEEP_SECONDS = 3600
MAX_SPANS = 300_000
PRUNE_SECONDS = 30
NANOSECONDS = 1_000_000_000
_KINDS = ("", "internal", "server", "client", "producer", "consumer")
_SCHEMA = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    DROP TABLE IF EXISTS spans;
    CREATE TABLE spans (
        trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_id TEXT NOT NULL,
        name TEXT NOT NULL, kind TEXT NOT NULL, process TEXT NOT NULL,
        start INTEGER NOT NULL, finish INTEGER NOT NULL, error TEXT,
        request_id TEXT, task_id TEXT, attributes TEXT NOT NULL, links TEXT NOT NULL,
        PRIMARY KEY (trace_id, span_id)
    ) WITHOUT ROWID;
    CREATE INDEX spans_request ON spans (request_id) WHERE request_id IS NOT NULL;
    CREATE INDEX spans_task ON spans (task_id) WHERE task_id IS NOT NULL;
    CREATE INDEX spans_start ON spans (start);
"""
_ADD = f"INSERT OR REPLACE INTO spans VALUES ({', '.join('?' * 13)})"  # noqa: S608  constants only
_OF_ID = """
    SELECT trace_id FROM spans WHERE trace_id = :id
    UNION SELECT trace_id FROM spans WHERE request_id = :id
    UNION SELECT trace_id FROM spans WHERE task_id = :id
"""
_OF_TRACE = "SELECT * FROM spans WHERE trace_id = ? ORDER BY start"
_RECENT = """
    SELECT trace_id, name, process, start, finish, error, request_id FROM spans
    WHERE parent_id = '' OR kind = 'server' ORDER BY start DESC LIMIT :limit
"""
_PRUNE = """
    DELETE FROM spans WHERE start < :oldest OR start <= (
        SELECT start FROM spans ORDER BY start DESC LIMIT 1 OFFSET :most
    )
"""


@dataclass(frozen=True)
class Span:
    """A span; its times are nanoseconds of the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    process: str
    start: int
    finish: int
    error: str | None
    request_id: str | None
    task_id: str | None
    attributes: dict[str, Any]
    links: list[dict[str, str]]


class SpanStore:
    """The spans of a file, which is emptied at the start. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(_SCHEMA)
        self._pruned_at = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, request: ExportTraceServiceRequest) -> int:
        """Store the spans of a request; return how many."""
        rows = list(_rows(request))
        with self._lock:
            self._database.execute("BEGIN")
            self._database.executemany(_ADD, rows)
            self._database.execute("COMMIT")
            if time.monotonic() - self._pruned_at > PRUNE_SECONDS:
                self._prune()
        return len(rows)

    def find(self, any_id: str) -> list[list[Span]]:
        """Return the traces of an id: of a request, a task or a trace; the earliest first."""
        with self._lock:
            ids = [row["trace_id"] for row in self._database.execute(_OF_ID, {"id": any_id})]
            traces = [self._database.execute(_OF_TRACE, (each,)).fetchall() for each in ids]
        traces.sort(key=lambda rows: rows[0]["start"])
        return [[_span(row) for row in rows] for rows in traces]

    def recent(self, limit: int) -> list[sqlite3.Row]:
        """Return the first spans of the latest traces, the latest first."""
        with self._lock:
            return self._database.execute(_RECENT, {"limit": limit}).fetchall()

    def _prune(self) -> None:
        """Delete the spans over an hour old, and the oldest over `MAX_SPANS`."""
        self._pruned_at = time.monotonic()
        oldest = time.time_ns() - KEEP_SECONDS * NANOSECONDS
        self._database.execute(_PRUNE, {"oldest": oldest, "most": MAX_SPANS})


def _rows(request: ExportTraceServiceRequest) -> Iterator[tuple[object, ...]]:
    for group in request.resource_spans:
        of_process = _attributes(group.resource.attributes)
        process = str(of_process.get("app.process") or of_process.get("service.name") or "")
        for span in (span for scope in group.scope_spans for span in scope.spans):
            attributes = _attributes(span.attributes)
            links = [
                {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
                for link in span.links
            ]
            is_failed = span.status.code == Status.STATUS_CODE_ERROR
            yield (
                *(each.hex() for each in (span.trace_id, span.span_id, span.parent_span_id)),
                *(span.name, _KINDS[span.kind], process),
                *(span.start_time_unix_nano, span.end_time_unix_nano),
                (span.status.message or "error") if is_failed else None,
                *(attributes.get("app.request_id"), attributes.get("app.task_id")),
                *(json.dumps(attributes), json.dumps(links)),
            )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    """Return plain attributes by name; others as text."""
    found = {}
    for each in pairs:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind) if kind else None
        found[each.key] = value if isinstance(value, str | int | float | bool) else str(value)
    return found


def _span(row: sqlite3.Row) -> Span:
    parsed = {name: json.loads(row[name]) for name in ("attributes", "links")}
    return Span(**{**dict(row), **parsed})
