"""The one statement that inserts the tasks of callers, in their transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.observability import logs, tracing
from infra.queue import life
from infra.queue.life import HookedTask
from infra.queue.table import CHANNEL
from infra.queue.unique import OnConflict, Unique, hold, leave

# Rows of one statement, and arguments that are validated before other work of the event loop runs.
CHUNK = 2000

_INSERT = """
    WITH added AS (
        INSERT INTO tasks (id, name, args, version, priority, dedupe_key, concurrency_key,
            waits_for, is_awaited, due_at, available_at, start_before, workflow_id, request_id,
            trace_context)
        SELECT id, name, args::jsonb, version, priority, dedupe_key, key, waits_for, is_awaited,
            CASE WHEN key IS NOT NULL AND waits_for = 0 THEN due END,
            CASE WHEN key IS NULL AND waits_for = 0 THEN due ELSE 'infinity' END,
            due + $12::interval, $13::uuid, $14::text, $15::text
        FROM (
            SELECT *, greatest(clock_timestamp(), $10::timestamptz,
                               clock_timestamp() + make_interval(secs => $11::float8)) AS due
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::smallint[],
                $6::text[], $7::text[], $8::int[], $9::bool[])
                AS new (id, name, args, version, priority, dedupe_key, key, waits_for, is_awaited)
        ) AS given
        ON CONFLICT {on_conflict}
        RETURNING id, dedupe_key, name, concurrency_key IS NULL AND waits_for = 0 AS is_plain
    )
    SELECT count(*) AS added,
        coalesce(array_agg(id) FILTER (WHERE dedupe_key IS NOT NULL), '{{}}') AS ids,
        coalesce(array_agg(dedupe_key) FILTER (WHERE dedupe_key IS NOT NULL), '{{}}') AS keys,
        CASE WHEN count(*) > 0 THEN pg_notify($16,
            CASE WHEN bool_and(is_plain) AND min(name) = max(name) THEN min(name) ELSE '' END) END
    FROM added
"""
# The message of a replaced task is spent, and its attempts are counted from here. Its number stays,
# for it is the fence.
_REPLACE = """
    (dedupe_key) WHERE state IN ('queued', 'running') DO UPDATE SET
        args = excluded.args, version = excluded.version, priority = excluded.priority,
        concurrency_key = excluded.concurrency_key, start_before = excluded.start_before,
        due_at = CASE WHEN tasks.waits_for = 0 THEN excluded.due_at END,
        available_at = CASE WHEN tasks.waits_for = 0 THEN excluded.available_at
                            ELSE 'infinity' END,
        request_id = excluded.request_id, trace_context = excluded.trace_context,
        published_at = NULL, lease_until = NULL, max_attempts = NULL,
        checkpoint = NULL, progress = 0
    WHERE tasks.state = 'queued'
"""
_STATEMENTS = {
    OnConflict.KEEP: _INSERT.format(on_conflict="DO NOTHING"),
    OnConflict.REPLACE: _INSERT.format(on_conflict=_REPLACE),
}
_EXISTING = """
    SELECT dedupe_key, id FROM tasks
    WHERE dedupe_key = ANY($1::text[]) AND state IN ('queued', 'running')
    UNION ALL
    SELECT new.dedupe_key, id
    FROM unnest($1::text[], $2::uuid[]) AS new (dedupe_key, id) JOIN tasks USING (id)
"""
# What runs is not replaced: it gives its key to the new task.
_GIVE_AWAY = """
    UPDATE tasks SET dedupe_key = NULL WHERE dedupe_key = ANY($1::text[]) AND state = 'running'
"""


class NewTask(NamedTuple):
    """A task to insert; `args` is JSON of this `version` of the kind `name`."""

    id: UUID
    name: str
    args: str
    version: int
    priority: int = 0
    dedupe_key: str | None = None
    concurrency_key: str | None = None
    waits_for: int = 0
    is_awaited: bool = False


@dataclass(frozen=True)
class Shared:
    """What all tasks of a call have: when they are due, until when they start, their workflow."""

    run_at: datetime | None = None
    delay: float | None = None
    start_within: timedelta | None = None
    workflow_id: UUID | None = None


EACH_NOW = Shared()


@dataclass(frozen=True)
class Inserted:
    """How many tasks were inserted or replaced, and which task has each key, new or not."""

    count: int
    by_key: dict[str | None, UUID]


async def insert(
    new: Sequence[NewTask], shared: Shared = EACH_NOW, unique: Unique | None = None
) -> Inserted:
    """Insert tasks in chunks, unless an open one has their key, or any has their id.

    The keys are those of `unique`, if it is given. Hooks of packages run for new tasks.
    """
    if not life.registered():
        return await _insert_unless_held(new, shared, unique)
    async with transaction():
        inserted = await _insert_unless_held(new, shared, unique)
        for each in new if inserted.count else ():
            if inserted.by_key.get(each.dedupe_key, each.id) == each.id:
                await life.enqueued(HookedTask(each.id, each.name), each.args)
    return inserted


async def _insert_unless_held(
    new: Sequence[NewTask], shared: Shared, unique: Unique | None
) -> Inserted:
    if unique is None:
        return await _insert_all(new, shared, OnConflict.KEEP)
    if unique.on_conflict is OnConflict.REPLACE:
        last = {each.dedupe_key: each for each in new}
        return await _insert_all(list(last.values()), shared, OnConflict.REPLACE)
    if unique.seconds:
        return await _insert_held(new, shared, unique.seconds)
    return await _insert_all(new, shared, OnConflict.KEEP)


async def _insert_held(new: Sequence[NewTask], shared: Shared, seconds: float) -> Inserted:
    """Insert tasks whose keys are held for a period from now."""
    first: dict[str, NewTask] = {}
    for each in new:
        first.setdefault(str(each.dedupe_key), each)
    async with transaction():
        holders = await hold({key: each.id for key, each in first.items()}, seconds)
        free = [each for key, each in first.items() if key not in holders]
        inserted = await _insert_all(free, shared, OnConflict.KEEP)
        ids = {each.id for each in free}
        if older := {str(key): id_ for key, id_ in inserted.by_key.items() if id_ not in ids}:
            await leave(older)
    return Inserted(inserted.count, holders | inserted.by_key)


async def _insert_all(new: Sequence[NewTask], shared: Shared, on_conflict: OnConflict) -> Inserted:
    count = 0
    by_key: dict[str | None, UUID] = {}
    # In one order, so that two transactions with the same keys do not block each other.
    left = sorted(new, key=lambda each: each.dedupe_key or "")
    while left:
        for start in range(0, len(left), CHUNK):
            inserted = await _insert(left[start : start + CHUNK], shared, on_conflict)
            count += inserted.count
            by_key |= inserted.by_key
        keyed = (each for each in left if each.dedupe_key is not None)
        left = [each for each in keyed if each.dedupe_key not in by_key]
        keys = [each.dedupe_key for each in left]
        if left and on_conflict is OnConflict.REPLACE:
            await rows(_GIVE_AWAY, keys)
        elif left:
            found = await rows(_EXISTING, keys, [each.id for each in left])
            by_key |= {row["dedupe_key"]: row["id"] for row in found}
            # A task with the key may have ended between the two statements.
            left = [each for each in left if each.dedupe_key not in by_key]
    return Inserted(count, by_key)


async def _insert(chunk: Sequence[NewTask], shared: Shared, on_conflict: OnConflict) -> Inserted:
    (row,) = await rows(
        _STATEMENTS[on_conflict],
        *(list(column) for column in zip(*chunk, strict=True)),
        shared.run_at,
        shared.delay,
        shared.start_within,
        shared.workflow_id,
        logs.request_id(),
        tracing.traceparent(),
        CHANNEL,
    )
    return Inserted(row["added"], dict(zip(row["keys"], row["ids"], strict=True)))
