"""Enqueueing: the caller's transaction inserts a task's row, so no committed task is lost."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import repeat
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from infra.db.transactions import transaction
from infra.observability import tracing
from infra.observability.spans import Kind
from infra.queue import successors
from infra.queue.errors import InvalidArguments
from infra.queue.insert import CHUNK, NewTask, Shared, insert
from infra.queue.kind import KINDS
from infra.queue.successors import OnFailure
from infra.queue.unique import OnConflict, Unique

MAX_KEY = 255
MAX_DELAY_SECONDS = 100 * 366 * 24 * 60 * 60


async def enqueue(  # noqa: PLR0913  each is a property of a task, and all but two have defaults
    name: str,
    args: Mapping[str, object],
    *,
    task_id: UUID | None = None,
    dedupe_key: str | None = None,
    unique: Unique | None = None,
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
    `task_id`. `unique` makes the key from the arguments, and says for how long it holds and whether
    the task with it is replaced. Tasks of a higher `priority` are published first. Of the tasks
    with one `concurrency_key`, at most 255 characters, as many run at a time as their kind allows,
    in the order in which they were enqueued. The task is due at `run_at`, or `delay` seconds from
    now by the database's clock; a time that has passed is now. A task of which no attempt can start
    within `start_within` of when it is due is cancelled, with the reason in its error.

    The task waits until the tasks `after` have succeeded, which it may call by names. If one fails
    or is cancelled, `on_failure` says what becomes of the task: it is cancelled, or runs when all
    have ended. An existing task goes on waiting for what it waits for.

    Returns:
        The id of the new task, or of the existing task with this key or id, whose time stays
        unless it is replaced.

    Raises:
        InvalidArguments: the task's function does not take these arguments.
        ValueError: `run_at` has no time zone, `delay` is negative or above `MAX_DELAY_SECONDS`, or
            both are given, or one of them with `after`; the concurrency key is empty or too long;
            `unique` is given with a key or an id, or would replace by a task that waits for others.
        InvalidWorkflow: a name is empty or too long.
        UnknownPredecessor: no task has one of the ids `after`.

    """
    stored, version = stored_arguments(name, args)
    _check_time(run_at, delay)
    if concurrency_key is not None and not 1 <= len(concurrency_key) <= MAX_KEY:
        raise ValueError(f"a concurrency key has 1 to {MAX_KEY} characters")
    parents = dict(after) if isinstance(after, Mapping) else {str(each): each for each in after}
    if parents and (run_at is not None or delay is not None):
        raise ValueError("give after or a time, not both")
    if unique:
        if dedupe_key is not None or task_id is not None:
            raise ValueError("give unique, or a dedupe key or an id")
        if parents and unique.on_conflict is OnConflict.REPLACE:
            raise ValueError("a task that waits for others replaces none")
        dedupe_key = unique.key(name, stored)
    new = NewTask(task_id or uuid7(), name, stored, version, priority, dedupe_key, concurrency_key)
    shared = Shared(run_at, delay, start_within)
    with tracing.span(f"enqueue {name}", Kind.PRODUCER):
        if parents:
            async with transaction():
                locked = await successors.lock(parents, on_failure)
                new = new._replace(waits_for=locked.waits_for)
                shared = replace(shared, workflow_id=locked.workflow_id)
                inserted = await insert([new], shared, unique)
                if inserted.count:
                    await successors.connect(locked.edges_to(new.id))
        else:
            inserted = await insert([new], shared, unique)
        enqueued = inserted.by_key.get(dedupe_key, new.id)
        tracing.annotate({"app.task_id": str(enqueued)})
    return enqueued


async def enqueue_many(
    name: str,
    args: Iterable[Mapping[str, object]],
    *,
    dedupe_keys: Sequence[str] | None = None,
    unique: Unique | None = None,
    priority: int = 0,
) -> list[UUID]:
    """Insert a task for each of `args`, all or none; in the running transaction if there is one.

    Each is a task as of `enqueue`. `dedupe_keys` has one for each of `args`; two tasks with the
    same key are one: the first, or with `unique` that replaces the last.

    Returns:
        In the order of `args`, the id of the new task, or of the existing task with its key.

    Raises:
        InvalidArguments: the task's function does not take those of a task, which is named by its
            number from 1. Nothing is inserted.
        ValueError: there are more or fewer `dedupe_keys` than `args`, or `unique` is given, too.

    """
    if unique and dedupe_keys is not None:
        raise ValueError("give unique, or dedupe keys")
    keys = repeat(None) if dedupe_keys is None else dedupe_keys
    new: list[NewTask] = []
    for each, given in zip(args, keys, strict=dedupe_keys is not None):
        try:
            stored, version = stored_arguments(name, each)
        except InvalidArguments as error:
            raise InvalidArguments(f"{error} (task {len(new) + 1})") from None
        key = unique.key(name, stored) if unique else given
        new.append(NewTask(uuid7(), name, stored, version, priority, key))
        if len(new) % CHUNK == 0:
            await asyncio.sleep(0)
    with tracing.span(f"enqueue {name}", Kind.PRODUCER, {"app.tasks": len(new)}):
        async with transaction():
            inserted = await insert(new, unique=unique)
    return [inserted.by_key.get(each.dedupe_key, each.id) for each in new]


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
