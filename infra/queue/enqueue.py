"""Enqueueing: the caller's transaction inserts a task's row, so no committed task is lost."""

from typing import Any, cast
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from infra.db.sql import rows
from infra.observability import logs
from infra.queue.table import CHANNEL


async def enqueue(
    name: str,
    args: dict[str, Any],
    *,
    task_id: UUID | None = None,
    dedupe_key: str | None = None,
    priority: int = 0,
) -> UUID:
    """Insert a task in the running transaction; its commit wakes the relays.

    Nothing is inserted if a task that is not final has this `dedupe_key`, or any task has this
    `task_id`. Tasks of a higher `priority` are published first.

    Returns:
        The id of the new task, or of the existing task with this key or id.

    """
    added = await rows(
        """
        WITH added AS (
            INSERT INTO tasks (id, name, args, dedupe_key, priority, request_id)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        SELECT id, pg_notify($7, '') FROM added
        """,
        task_id or uuid7(),
        name,
        orjson.dumps(args).decode(),
        dedupe_key,
        priority,
        logs.request_id(),
        CHANNEL,
    )
    if added:
        return cast("UUID", added[0]["id"])
    if task_id is not None:
        return task_id
    existing = await rows(
        "SELECT id FROM tasks WHERE dedupe_key = $1 AND state IN ('queued', 'running')", dedupe_key
    )
    if existing:
        return cast("UUID", existing[0]["id"])
    # The task with the key ended between the two statements.
    return await enqueue(name, args, dedupe_key=dedupe_key, priority=priority)


async def release_dedupe_key(task_id: UUID) -> None:
    """Allow another task with the same dedupe key from now on, while this one still runs."""
    await rows("UPDATE tasks SET dedupe_key = NULL WHERE id = $1", task_id)
