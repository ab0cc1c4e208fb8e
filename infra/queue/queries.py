"""Reads of tasks: one by its id, and listings for operators."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID

from infra.db.sql import rows
from infra.queue.errors import TaskNotFound
from infra.queue.kind import KINDS
from infra.queue.table import COLUMNS, TaskRow

_NEWEST_FIRST = "ORDER BY created_at DESC, id DESC"
_OLDEST_FIRST = "ORDER BY created_at, id"


@dataclass(frozen=True)
class TaskFilters:
    """Which tasks a listing shows; `older_than` is an age.

    The tasks of a queue include those of its kinds that no relay has published yet.
    """

    states: frozenset[str] = frozenset()
    name: str | None = None
    queue: str | None = None
    workflow_id: UUID | None = None
    older_than: timedelta | None = None


class Cursor(NamedTuple):
    """A position in a listing; the page at it has older tasks, or newer ones with `is_newer`."""

    at: datetime
    id: UUID
    is_newer: bool = False


# The page of tasks that are newer than this is the last page.
OLDEST = Cursor(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0), is_newer=True)


@dataclass(frozen=True)
class TaskPage:
    """One page of tasks, and the cursors of the adjacent pages."""

    tasks: list[TaskRow]
    newer: Cursor | None
    older: Cursor | None


async def get(task_id: UUID) -> TaskRow:
    """Return a task.

    Raises:
        TaskNotFound: no task has this id.

    """
    found = await rows(f"SELECT {COLUMNS} FROM tasks WHERE id = $1", task_id)  # noqa: S608  constants only
    if not found:
        raise TaskNotFound
    return TaskRow.of(found[0])


async def list_page(filters: TaskFilters, limit: int, cursor: Cursor | None = None) -> TaskPage:
    """Return the page of at most `limit` tasks at a cursor, or the first; newest first."""
    tasks = await list_tasks(filters, limit, cursor)
    newer = older = None
    if tasks:
        newer = Cursor(tasks[0].created_at, tasks[0].id, is_newer=True)
        older = Cursor(tasks[-1].created_at, tasks[-1].id)
    return TaskPage(
        tasks,
        newer if newer and await list_tasks(filters, 1, newer) else None,
        older if older and await list_tasks(filters, 1, older) else None,
    )


async def count(filters: TaskFilters) -> int:
    """Return the count of all tasks that match."""
    condition, values = _condition(filters)
    (counted,) = await rows(f"SELECT count(*) AS total FROM tasks {condition}", *values)  # noqa: S608  constants only
    return cast("int", counted["total"])


async def list_tasks(
    filters: TaskFilters, limit: int, cursor: Cursor | None = None, *, offset: int = 0
) -> list[TaskRow]:
    """Return at most `limit` tasks, newest first, after the cursor or the `offset` newest."""
    is_newer = cursor is not None and cursor.is_newer
    condition, values = _condition(filters, cursor)
    found = await rows(
        f"SELECT {COLUMNS} FROM tasks {condition} "  # noqa: S608  constants of this module
        f"{_OLDEST_FIRST if is_newer else _NEWEST_FIRST} "
        f"LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}",
        *values,
        limit,
        offset,
    )
    tasks = [TaskRow.of(row) for row in found]
    return tasks[::-1] if is_newer else tasks


async def list_ids(filters: TaskFilters, limit: int | None = None) -> list[UUID]:
    """Return the ids of all tasks that match, or of the `limit` oldest, oldest first."""
    condition, values = _condition(filters)
    found = await rows(
        f"SELECT id FROM tasks {condition} {_OLDEST_FIRST} LIMIT ${len(values) + 1}::bigint",  # noqa: S608  constants only
        *values,
        limit,
    )
    return [cast("UUID", row["id"]) for row in found]


def _condition(filters: TaskFilters, cursor: Cursor | None = None) -> tuple[str, list[object]]:
    """Return the WHERE clause, empty if all tasks match, and its values."""
    values: list[object] = []

    def add(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    terms = []
    if filters.states:
        # No array: with one state the planner reads the index in the order of the listing.
        terms.append(f"state IN ({', '.join(map(add, sorted(filters.states)))})")
    if filters.name:
        terms.append(f"name = {add(filters.name)}")
    if filters.queue:
        names = add([name for name, kind in KINDS.items() if kind.queue == filters.queue])
        terms.append(
            f"(queue = {add(filters.queue)} OR queue IS NULL AND name = ANY({names}::text[]))"
        )
    if filters.workflow_id:
        terms.append(f"workflow_id = {add(filters.workflow_id)}")
    if filters.older_than:
        terms.append(f"created_at < now() - {add(filters.older_than)}::interval")
    if cursor:
        side = ">" if cursor.is_newer else "<"
        terms.append(f"(created_at, id) {side} ({add(cursor.at)}, {add(cursor.id)})")
    return (f"WHERE {' AND '.join(terms)}" if terms else ""), values
