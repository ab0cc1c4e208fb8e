"""A row of `tasks`, and what statements on it have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import orjson

# NOTIFY on it wakes every relay.
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
        """Return a row that a statement on `COLUMNS` returned."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, "args": orjson.loads(row["args"])})


COLUMNS = ", ".join(field.name for field in fields(TaskRow))


def unindexed(condition: str) -> str:
    """Return the condition in a form that matches no index.

    For statements that name their row by id. An index on the state keeps the entries of rows that
    have left the state as long as any snapshot in the database is older.
    """
    return f"(({condition}) IS TRUE)"
