"""A row of `tasks`, and the common parts of statements on it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import orjson

from infra.observability.spans import Origin

# A NOTIFY on this channel wakes every relay. Its payload is the name of the kind whose tasks have
# just become due, if that is all that has changed.
CHANNEL = "tasks"
# For a RETURNING clause: the commit of the statement then does not wait for the disk.
NO_WAIT = "set_config('synchronous_commit', 'off', true)"
FINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class TaskRow:
    """A task; `models.Task` describes the columns."""

    id: UUID
    name: str
    args: dict[str, Any]
    version: int
    queue: str | None
    priority: int
    dedupe_key: str | None
    concurrency_key: str | None
    state: str
    cancel_requested: bool
    progress: int
    checkpoint: dict[str, Any] | None
    attempts: int
    max_attempts: int | None
    available_at: datetime
    due_at: datetime | None
    start_before: datetime | None
    published_at: datetime | None
    lease_until: datetime | None
    worker: str | None
    error: str | None
    traceback: str | None
    errors: list[dict[str, Any]] | None
    result: Any
    request_id: str | None
    trace_context: str | None
    waits_for: int
    workflow_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def trace_id(self) -> str | None:
        """The trace of the span that enqueued the task, if that was traced."""
        return self.trace_context.split("-")[1] if self.trace_context else None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Return the task of a row that has `COLUMNS`."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**values | {each: row[each] and orjson.loads(row[each]) for each in _JSON})


def origin_of(row: Mapping[str, Any], *, is_first: bool) -> Origin | None:
    """Return the span that enqueued the task of a row, for the trace of an attempt.

    The first attempt belongs to its trace. A later one has a trace of its own, and so has each of a
    task with a dedupe key, which several requests share.
    """
    if row["trace_context"] is None:
        return None
    return Origin(row["trace_context"], is_link=not is_first or row["dedupe_key"] is not None)


_JSON = ("args", "checkpoint", "errors", "result")
COLUMNS = ", ".join(field.name for field in fields(TaskRow))


def unindexed(condition: str) -> str:
    """Return the condition in a form that matches no index.

    It is for statements that find their row by id. An index on the state keeps the entries of rows
    that have left the state while any older snapshot is open.
    """
    return f"(({condition}) IS TRUE)"
