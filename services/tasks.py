"""Slow work, as a row: inserted in the caller's transaction, so that it cannot be lost."""

from enum import StrEnum
from typing import Any, cast
from uuid import UUID

import orjson
from tortoise import BaseDBAsyncClient
from uuid_utils.compat import uuid7

from infra.db.engine import primary
from infra.observability import logs
from models import Task, TaskState
from services.errors import (
    TaskNotFound,
)

CHANNEL = "tasks"
# Every relay holds this lock, shared, while it can publish.
ALIVE_LOCK = 0x5441534B


class TaskName(StrEnum):
    """The tasks that services ask for; a test asserts that each is registered."""

    PROCESS_IMAGE = "images.process"
    REMOVE_IMAGES = "images.remove"
    REFRESH_CACHE = "cache.refresh"
    WARM_CACHE = "cache.warm"
    PRUNE_TASKS = "maintenance.prune_tasks"
    PRUNE_SESSIONS = "maintenance.prune_sessions"
    PRUNE_UPLOADS = "maintenance.prune_uploads"
    REMOVE_ORPHANS = "maintenance.remove_orphans"
    PRUNE_AUDIT_LOG = "maintenance.prune_audit_log"
    PRUNE_ANSWERS = "maintenance.prune_answers"
    ANALYZE = "maintenance.analyze"


async def enqueue(
    name: str,
    args: dict[str, Any],
    *,
    task_id: UUID | None = None,
    dedupe_key: str | None = None,
    priority: int = 0,
) -> UUID:
    """Insert a task in the running transaction and wake the relay when that commits.

    With a `dedupe_key` of a task that is not final, or a `task_id` that is there already,
    nothing is inserted. A higher `priority` is published first.

    Returns:
        The id of the task: the new one's, or that of the one in the way.

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
    standing = await Task.filter(
        dedupe_key=dedupe_key, state__in=[TaskState.QUEUED, TaskState.RUNNING]
    ).first()
    # The one in the way ended between the two statements: now there is room.
    if standing:
        return standing.id
    return await enqueue(name, args, dedupe_key=dedupe_key, priority=priority)


async def release_dedupe_key(task_id: UUID) -> None:
    """Let another task of the same dedupe key be queued from now on, though this one runs."""
    await Task.filter(id=task_id).update(dedupe_key=None)


async def get(task_id: UUID) -> Task:
    """Return a task.

    Raises:
        TaskNotFound: there is none of this id.

    """
    task = await Task.get_or_none(id=task_id)
    if task is None:
        raise TaskNotFound
    return task


async def is_relay_alive(source: BaseDBAsyncClient | None = None) -> bool:
    """Tell whether some worker's relay is there and reaches the broker."""
    relays = await (source or primary()).execute_query_dict(
        """
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1
          AND datname = current_database() AND granted
        LIMIT 1
        """,
        [ALIVE_LOCK],
    )
    return bool(relays)


def unindexed(condition: str) -> str:
    """Return the condition in a form that the planner matches with no index.

    For statements that name their row by id: over an index on the state they would walk the entries
    of all rows that have left the state, as long as some snapshot in the database keeps these.
    """
    return f"(({condition}) IS TRUE)"


async def rows(query: str, *values: object) -> list[dict[str, Any]]:
    """Run a statement that the ORM has no words for, in the running transaction."""
    return await primary().execute_query_dict(query, list(values))
