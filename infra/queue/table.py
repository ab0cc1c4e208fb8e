"""A row of `tasks`, and the common parts of statements on it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import orjson

# A NOTIFY on this channel wakes every relay.
CHANNEL = "tasks"
FINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class TaskRow:
    """A task; `models.Task` describes the columns."""

    id: UUID
    name: str
    args: dict[str, Any]
    queue: str | None
    priority: int
    dedupe_key: str | None
    state: str
    cancel_requested: bool
    progress: int
    attempts: int
    max_attempts: int | None
    available_at: datetime
    published_at: datetime | None
    lease_until: datetime | None
    worker: str | None
    error: str | None
    traceback: str | None
    request_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Return the task of a row that has `COLUMNS`."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, "args": orjson.loads(row["args"])})


COLUMNS = ", ".join(field.name for field in fields(TaskRow))


def unindexed(condition: str) -> str:
    """Return the condition in a form that matches no index.

    It is for statements that find their row by id. An index on the state keeps the entries of rows
    that have left the state while any older snapshot is open.
    """
    return f"(({condition}) IS TRUE)"
