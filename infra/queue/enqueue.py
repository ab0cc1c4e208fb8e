"""Enqueueing: the caller's transaction inserts a task's row, so no committed task is lost."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import repeat
from typing import NamedTuple, cast
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.observability import logs, tracing
from infra.observability.spans import Kind
from infra.queue import successors
from infra.queue.errors import InvalidArguments
from infra.queue.kind import KINDS
from infra.queue.successors import OnFailure, Parents
from infra.queue.table import CHANNEL

# Rows of one statement, and arguments that are validated before other work of the event loop runs.
CHUNK = 2000
MAX_KEY = 255
MAX_DELAY_SECONDS = 100 * 366 * 24 * 60 * 60


async def enqueue(  # noqa: PLR0913  each is a property of a task, and all but two have defaults
    name: str,
    args: Mapping[str, object],
    *,
    task_id: UUID | None = None,
    dedupe_key: str | None = None,
    concurrency_key: str | None = None,
    start_within: timedelta | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
    delay: float | None = None,
    after: Mapping[str, UUID] | Iterable[UUID] = (),
    on_failure: OnFailure = OnFailure.CANCEL,
) -> UUID:
    """Insert a task in the running transaction; its commit wakes the relays.

    Nothing is inserted if a task that is not final has this `dedupe_key`, or any task has this
    `task_id`. Tasks of a higher `priority` are published first. Of the tasks with one
    `concurrency_key`, at most 255 characters, as many run at a time as their kind allows, in the
    order in which they were enqueued. The task is due at `run_at`, or `delay` seconds from now by
    the database's clock; a time that has passed is now. A task of which no attempt can start within
    `start_within` of when it is due is cancelled, with the reason in its error.

    The task waits until the tasks `after` have succeeded, which it may call by names. If one fails
    or is cancelled, `on_failure` says what becomes of the task: it is cancelled, or runs when all
    have ended. An existing task goes on waiting for what it waits for.

    Returns:
        The id of the new task, or of the existing task with this key or id, whose time stays.

    Raises:
        InvalidArguments: the task's function does not take these arguments.
        ValueError: `run_at` has no time zone, `delay` is negative or above `MAX_DELAY_SECONDS`, or
            both are given, or one of them with `after`; the concurrency key is empty or too long.
        InvalidWorkflow: a name is empty or too long.
        UnknownPredecessor: no task has one of the ids `after`.

    """
    stored = stored_arguments(name, args)
    _check_time(run_at, delay)
    if concurrency_key is not None and not 1 <= len(concurrency_key) <= MAX_KEY:
        raise ValueError(f"a concurrency key has 1 to {MAX_KEY} characters")
    row = _Row(
        name,
        *stored,
        dedupe_key=dedupe_key,
        priority=priority,
        run_at=run_at,
        delay=delay,
        concurrency_key=concurrency_key,
        start_within=start_within,
        parents=None,
    )
    parents = dict(after) if isinstance(after, Mapping) else {str(each): each for each in after}
    if parents and (run_at is not None or delay is not None):
        raise ValueError("give after or a time, not both")
    with tracing.span(f"enqueue {name}", Kind.PRODUCER):
        if parents:
            async with transaction():
                row = row._replace(parents=await successors.lock(parents, on_failure))
                enqueued = await _insert(row, task_id)
        else:
            enqueued = await _insert(row, task_id)
        tracing.annotate({"app.task_id": str(enqueued)})
    return enqueued


async def enqueue_many(
    name: str,
    args: Iterable[Mapping[str, object]],
    *,
    dedupe_keys: Sequence[str] | None = None,
    priority: int = 0,
) -> list[UUID]:
    """Insert a task for each of `args`, all or none; in the running transaction if there is one.

    Each is a task as of `enqueue`. `dedupe_keys` has one for each of `args`; two tasks with the
    same key are one.

    Returns:
        In the order of `args`, the id of the new task, or of the existing task with its key.

    Raises:
        InvalidArguments: the task's function does not take those of a task, which is named by its
            number from 1. Nothing is inserted.
        ValueError: there are more or fewer `dedupe_keys` than `args`.

    """
    keys = repeat(None) if dedupe_keys is None else dedupe_keys
    new: list[_NewTask] = []
    version = 1
    for each, key in zip(args, keys, strict=dedupe_keys is not None):
        try:
            stored, version = stored_arguments(name, each)
        except InvalidArguments as error:
            raise InvalidArguments(f"{error} (task {len(new) + 1})") from None
        new.append(_NewTask(uuid7(), stored, key))
        if len(new) % CHUNK == 0:
            await asyncio.sleep(0)
    with tracing.span(f"enqueue {name}", Kind.PRODUCER, {"app.tasks": len(new)}):
        async with transaction():
            existing = await _insert_all(name, version, new, priority)
            await rows("SELECT pg_notify($1, '')", CHANNEL)
    return [existing.get(each.dedupe_key, each.id) for each in new]


def stored_arguments(name: str, args: Mapping[str, object]) -> tuple[str, int]:
    """Return the arguments as JSON, validated if this process knows the kind, and their version."""
    if kind := KINDS.get(name):
        return kind.arguments.dump(args), kind.version
    return orjson.dumps(args).decode(), 1


def _check_time(run_at: datetime | None, delay: float | None) -> None:
    if run_at is not None and delay is not None:
        raise ValueError("give run_at or delay, not both")
    if run_at is not None and run_at.utcoffset() is None:
        raise ValueError(f"run_at must have a time zone (it is {run_at.isoformat()})")
    # NaN is in no range.
    if delay is not None and not 0 <= delay <= MAX_DELAY_SECONDS:
        raise ValueError(f"delay must be 0 to {MAX_DELAY_SECONDS} seconds (it is {delay})")


class _Row(NamedTuple):
    name: str
    args: str
    version: int
    dedupe_key: str | None
    priority: int
    run_at: datetime | None
    delay: float | None
    concurrency_key: str | None
    start_within: timedelta | None
    parents: Parents | None


async def _insert(row: _Row, task_id: UUID | None) -> UUID:
    added = await rows(
        """
        WITH added AS (
            INSERT INTO tasks (id, name, args, version, dedupe_key, priority, request_id,
                trace_context, concurrency_key, start_before, due_at, available_at, waits_for,
                workflow_id)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, key, due + $13::interval,
                CASE WHEN key IS NOT NULL AND $14 = 0 THEN due END,
                CASE WHEN key IS NULL AND $14 = 0 THEN due ELSE 'infinity' END, $14::int, $15
            FROM (
                SELECT $12::text AS key,
                    greatest(clock_timestamp(), $10::timestamptz,
                             clock_timestamp() + make_interval(secs => $11::float8)) AS due
            ) AS given
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        SELECT id, pg_notify($9, '') FROM added
        """,
        task_id or uuid7(),
        row.name,
        row.args,
        row.version,
        row.dedupe_key,
        row.priority,
        logs.request_id(),
        tracing.traceparent(),
        CHANNEL,
        row.run_at,
        row.delay,
        row.concurrency_key,
        row.start_within,
        row.parents.waits_for if row.parents else 0,
        row.parents and row.parents.workflow_id,
    )
    if added:
        if row.parents:
            await successors.connect(row.parents.edges_to(added[0]["id"]))
        return cast("UUID", added[0]["id"])
    if task_id is not None:
        return task_id
    existing = await rows(
        "SELECT id FROM tasks WHERE dedupe_key = $1 AND state IN ('queued', 'running')",
        row.dedupe_key,
    )
    if existing:
        return cast("UUID", existing[0]["id"])
    # The task with the key ended between the two statements.
    return await _insert(row, None)


class _NewTask(NamedTuple):
    id: UUID
    args: str
    dedupe_key: str | None


async def _insert_all(
    name: str, version: int, new: list[_NewTask], priority: int
) -> dict[str | None, UUID]:
    """Insert tasks; return those that exist by the keys of tasks that were not inserted."""
    existing: dict[str | None, UUID] = {}
    # In one order, so that two transactions with the same keys do not block each other.
    left = sorted(new, key=lambda each: each.dedupe_key or "")
    while left:
        added: set[UUID] = set()
        for start in range(0, len(left), CHUNK):
            chunk = left[start : start + CHUNK]
            added.update(await _insert_chunk(name, version, chunk, priority))
        # Tasks without a key cannot exist.
        left = [each for each in left if each.dedupe_key and each.id not in added]
        found = await rows(
            "SELECT id, dedupe_key FROM tasks "
            "WHERE dedupe_key = ANY($1) AND state IN ('queued', 'running')",
            [each.dedupe_key for each in left],
        )
        existing |= {row["dedupe_key"]: row["id"] for row in found}
        # A task with the key may have ended between the two statements.
        left = [each for each in left if each.dedupe_key not in existing]
    return existing


async def _insert_chunk(
    name: str, version: int, chunk: list[_NewTask], priority: int
) -> Iterable[UUID]:
    """Insert tasks; return the ids of those that have a key and were inserted."""
    added = await rows(
        """
        WITH added AS (
            INSERT INTO tasks
                (id, name, args, version, dedupe_key, priority, request_id, trace_context)
            SELECT new.id, $4, new.args::jsonb, $5, new.dedupe_key, $6, $7, $8
            FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, args, dedupe_key)
            ON CONFLICT DO NOTHING
            RETURNING id, dedupe_key
        )
        SELECT id FROM added WHERE dedupe_key IS NOT NULL
        """,
        [each.id for each in chunk],
        [each.args for each in chunk],
        [each.dedupe_key for each in chunk],
        name,
        version,
        priority,
        logs.request_id(),
        tracing.traceparent(),
    )
    return (row["id"] for row in added)


async def release_dedupe_key(task_id: UUID) -> None:
    """Allow another task with the same dedupe key from now on, while this one still runs."""
    await rows("UPDATE tasks SET dedupe_key = NULL WHERE id = $1", task_id)
