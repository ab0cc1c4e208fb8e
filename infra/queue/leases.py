"""How a task has its effects once: claim, lease, fence by attempt, retry.

All times come from the database, so a worker with a wrong clock takes no task of another worker.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import orjson
from tortoise.exceptions import IntegrityError

from infra.db.sql import rows
from infra.observability.spans import Origin
from infra.queue.errors import LeaseLost
from infra.queue.kind import TaskKind
from infra.queue.queues import IS_LIMITED, IS_PAUSED, TOKENS
from infra.queue.table import CHANNEL, NO_WAIT, origin_of, unindexed

LEASE_SECONDS = 30.0
BASE_BACKOFF_SECONDS = 2.0
# A message that reached a worker of older code is sent again so much later.
NEWER_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 600.0
# Each failed try means that another task has started.
SLOT_TRIES = 10
KEPT_ERRORS = 20
# Characters of each, from the end.
KEPT_TRACEBACK = 4000

# Jitter over the upper half spreads the retries of a mass failure, and none comes at once.
JITTER = "(0.5 + random() / 2)"
BACKOFF = f"""
    make_interval(secs => {JITTER} * least(
        {MAX_BACKOFF_SECONDS}, {BASE_BACKOFF_SECONDS} * power(2, least(attempts, 16) - 1)))
"""

_IS_RUNNING = unindexed("state = 'running'")
_IS_CLAIMABLE = unindexed(
    "state = 'queued' AND available_at <= now() OR state = 'running' AND lease_until < now()"
)
_IS_LEFT = f"""
    SELECT id FROM tasks WHERE id = $1
      AND {unindexed("state = 'queued' OR state = 'running' AND lease_until < now()")}
"""  # noqa: S608  a constant of this module
_LEAVE_TO_NEWER = f"""
    UPDATE tasks SET published_at = NULL, lease_until = NULL,
        available_at = greatest(available_at, now() + make_interval(secs => $3))
    WHERE id = $1 AND {unindexed("state = 'queued'")}
      AND version > coalesce(($2::jsonb ->> name)::smallint, 1)
"""  # noqa: S608  constants of this module only
_IS_PUBLISHED = unindexed("state = 'queued' AND published_at IS NOT NULL")
_SUCCEEDED = (
    "state = 'succeeded', progress = 100, finished_at = now(), lease_until = NULL, "
    "error = NULL, traceback = NULL, result = $3::jsonb"
)
SET_CLAIMED = """
    state = 'running', attempts = attempts + 1, progress = 0,
    started_at = coalesce(started_at, now()), worker = $3,
    lease_until = now() + make_interval(secs => $2)
"""
_MAY_CLAIM = f"""id = $1 AND NOT cancel_requested AND attempts < max_attempts
    AND {_IS_CLAIMABLE} AND (start_before IS NULL OR start_before > now())
    AND version <= coalesce(($4::jsonb ->> name)::smallint, 1)"""
CLAIMED = f"""
    id, name, args, version, attempts, dedupe_key, request_id, trace_context,
    extract(epoch FROM now() - available_at)::float8 AS wait_seconds, {NO_WAIT}
"""


def _free_slot(limit: str, taken: str) -> str:
    return f"""(
        SELECT min(slot) FROM generate_series(0, {limit} - 1) AS slots (slot)
        WHERE slot <> ALL ({taken}) AND cardinality({taken}) < {limit}
    )"""  # noqa: S608  names


_OF_QUEUE = "SELECT FROM task_queues WHERE task_queues.name = tasks.queue"
# Of a queue that nobody steers, and without a key.
_CLAIM = f"""
    UPDATE tasks SET {SET_CLAIMED}, queue_slot = NULL
    WHERE {_MAY_CLAIM} AND concurrency_key IS NULL
      AND NOT EXISTS ({_OF_QUEUE} AND ({IS_PAUSED} OR {IS_LIMITED}))
    RETURNING {CLAIMED}
"""  # noqa: S608  constants only
# The lock on the bucket gives its newest tokens. The lowest free slot is of the snapshot; should
# another claim have taken it since, the unique index refuses it.
_CLAIM_LIMITED = f"""
    WITH bucket AS (
        SELECT name, clock_timestamp() AS at, {TOKENS.format(at="clock_timestamp()")} AS tokens
        FROM task_queues
        WHERE rate IS NOT NULL AND name = (SELECT queue FROM tasks WHERE tasks.id = $1)
        FOR UPDATE
    ), room AS (
        SELECT concurrency, {_free_slot("concurrency", "of_queue")} AS queue_slot,
               {_free_slot("per_key", "of_key")} AS key_slot
        FROM tasks AS task LEFT JOIN task_queues ON task_queues.name = task.queue,
        LATERAL (
            SELECT coalesce(($5::jsonb ->> task.name)::int, 1) AS per_key, array(
                SELECT queue_slot FROM tasks AS other
                WHERE other.state = 'running' AND other.queue = task.queue
                  AND other.queue_slot IS NOT NULL AND other.id <> $1
            ) AS of_queue, array(
                SELECT key_slot FROM tasks AS other
                WHERE other.state = 'running' AND other.concurrency_key = task.concurrency_key
                  AND other.key_slot IS NOT NULL AND other.id <> $1
            ) AS of_key
        ) AS taken
        WHERE task.id = $1 AND ({IS_PAUSED}) IS NOT TRUE
    ), claimed AS (
        UPDATE tasks SET {SET_CLAIMED}, queue_slot = room.queue_slot,
            key_slot = CASE WHEN concurrency_key IS NOT NULL THEN room.key_slot END
        FROM room
        WHERE {_MAY_CLAIM} AND (room.concurrency IS NULL OR room.queue_slot IS NOT NULL)
          AND (concurrency_key IS NULL OR room.key_slot IS NOT NULL)
          AND NOT EXISTS (SELECT FROM bucket WHERE tokens < 1)
        RETURNING {CLAIMED}
    ), spent AS (
        UPDATE task_queues SET tokens = bucket.tokens - 1, refilled_at = bucket.at
        FROM bucket
        WHERE task_queues.name = bucket.name AND EXISTS (SELECT FROM claimed)
    )
    SELECT * FROM claimed
"""  # noqa: S608  constants only
# A task with a key waits for it again, at its place.
_UNMARK = f"""
    UPDATE tasks SET published_at = NULL, lease_until = NULL,
        due_at = CASE WHEN concurrency_key IS NOT NULL THEN available_at END,
        available_at = CASE WHEN concurrency_key IS NULL THEN available_at ELSE 'infinity' END
    WHERE id = $1 AND {_IS_PUBLISHED} AND available_at <= now()
      AND (concurrency_key IS NOT NULL OR EXISTS ({_OF_QUEUE} AND ({IS_PAUSED} OR {IS_LIMITED})))
"""  # noqa: S608  constants only
# Those that are held by the statement's snapshot, locked or not.
_HELD = f"""
    SELECT id FROM tasks JOIN unnest($1::uuid[], $2::int[]) AS claims (id, attempt) USING (id)
    WHERE {_IS_RUNNING} AND attempts = attempt AND NOT cancel_requested
"""  # noqa: S608  a constant of this module
_RENEW = f"""
    WITH held AS ({_HELD}), renewed AS (
        UPDATE tasks SET lease_until = now() + make_interval(secs => $3)
        WHERE id IN ({_HELD} FOR UPDATE OF tasks SKIP LOCKED)
        RETURNING id
    )
    SELECT id, renewed.id IS NOT NULL AS is_renewed FROM held LEFT JOIN renewed USING (id)
"""  # noqa: S608  a constant of this module
# For a RETURNING clause: wakes the relays if others wait for the task, its slot or its key.
_WAKE = (
    "CASE WHEN is_awaited OR coalesce(queue_slot, key_slot) IS NOT NULL "
    f"THEN pg_notify('{CHANNEL}', '') END"
)


# Runs a statement with its values; returns its rows.
Fetch = Callable[..., Awaitable[Sequence[Any]]]


@dataclass(frozen=True)
class Claim:
    """A task that this process may run; `attempt` is the fence.

    `args` is JSON of this `version` of the kind. `wait_seconds` is the time from when it was due to
    the claim; `origin` is the span that enqueued it.
    """

    id: UUID
    name: str
    args: str
    version: int
    attempt: int
    request_id: str | None
    wait_seconds: float
    origin: Origin | None


@dataclass(frozen=True)
class KnownKinds:
    """The kinds that a worker knows, as its claims name them: JSON by name.

    `versions` leaves out those of version 1; `per_key` is how many tasks of a concurrency key run.
    """

    versions: str = "{}"
    per_key: str = "{}"

    @classmethod
    def of(cls, kinds: Mapping[str, TaskKind]) -> Self:
        """Return those of a registry."""
        versions = {str(name): kind.version for name, kind in kinds.items() if kind.version > 1}
        per_key = {str(name): kind.concurrency_per_key for name, kind in kinds.items()}
        return cls(orjson.dumps(versions).decode(), orjson.dumps(per_key).decode())


NO_KINDS = KnownKinds()


async def claim(
    task_id: UUID, worker: str, known: KnownKinds = NO_KINDS, *, is_hint: bool = False
) -> Claim | None:
    """Take the task and count the attempt, before any work; None if it cannot be claimed.

    Of a kind that is not `known`, the version is 1, and one task of a concurrency key may run. A
    task that a pause or a limit holds back is due again, because its message is spent; one of a
    newer version is left for another worker. With `is_hint` the task is often claimed already,
    because processes claim tasks of its kind without their messages; then one more statement is
    all.

    The commit does not wait for the disk. A crash of the server at that moment may lose the claim.
    Then the attempt runs again, and still only one run can finish the task.
    """
    values = task_id, LEASE_SECONDS, worker, known.versions
    found = await rows(_CLAIM, *values)
    if not found and is_hint and not await rows(_IS_LEFT, task_id):
        return None
    found = found or await _claim_limited(*values, known.per_key)
    if not found:
        await rows(_LEAVE_TO_NEWER, task_id, known.versions, NEWER_SECONDS)
        await rows(_UNMARK, task_id)
        return None
    return claim_of(found[0])


def claim_of(row: Mapping[str, Any]) -> Claim:
    """Return the claim of a row that has `CLAIMED`."""
    return Claim(
        row["id"],
        row["name"],
        row["args"],
        row["version"],
        row["attempts"],
        row["request_id"],
        row["wait_seconds"],
        origin_of(row, is_first=row["attempts"] == 1),
    )


async def _claim_limited(*values: object) -> list[dict[str, Any]]:
    """Claim a task of a queue or a key that has limits."""
    for _ in range(SLOT_TRIES):
        # Another claim took the slot since the statement's snapshot.
        with suppress(IntegrityError):
            return await rows(_CLAIM_LIMITED, *values)
    return []


@dataclass(frozen=True)
class Renewal:
    """The tasks whose leases were renewed; those whose attempts have lost them, or are to stop."""

    renewed: frozenset[UUID]
    lost: frozenset[UUID]


async def renew(claims: Sequence[Claim], fetch: Fetch = rows) -> Renewal:
    """Renew the leases of running tasks; `fetch` runs the statement.

    A task that another transaction has locked is neither renewed nor lost, so that no task waits
    for another one's lock.
    """
    ids, attempts = [each.id for each in claims], [each.attempt for each in claims]
    found = await fetch(_RENEW, ids, attempts, LEASE_SECONDS)
    held = {row["id"] for row in found}
    return Renewal(
        frozenset(row["id"] for row in found if row["is_renewed"]), frozenset(ids) - held
    )


async def report(claim: Claim, percent: int) -> None:
    """Store the progress, 0 to 100, and renew the lease.

    Raises:
        LeaseLost: this attempt no longer has the task, or cancellation was requested.

    """
    await fenced(
        claim,
        "progress = $4, lease_until = now() + make_interval(secs => $3)",
        LEASE_SECONDS,
        percent,
    )


async def finish(claim: Claim, result: str | None = None) -> None:
    """Mark the task succeeded, in the transaction of its effects; `result` is JSON.

    Raises:
        LeaseLost: this attempt no longer has the task; the transaction must roll back.

    """
    await fenced(claim, _SUCCEEDED, result, returning=f"id, {_WAKE}")


async def complete_without_effects(claim: Claim, result: str | None = None) -> None:
    """Mark a task without database effects succeeded; the commit does not wait for the disk.

    A crash of the server at that moment may lose the mark. Then the task runs again, the same as
    after a crash of its process just before this call.

    Raises:
        LeaseLost: this attempt no longer has the task.

    """
    await fenced(claim, _SUCCEEDED, result, returning=f"id, {_WAKE}, {NO_WAIT}")


async def fenced(
    claim: Claim,
    assignments: str,
    *values: object,
    returning: str = "id",
) -> None:
    """Change the row of a running task; the values follow the id and the attempt, from $3.

    Raises:
        LeaseLost: this attempt no longer has the task, or cancellation was requested.

    """
    found = await rows(
        f"UPDATE tasks SET {assignments} "  # noqa: S608  constants of this module only
        f"WHERE id = $1 AND {_IS_RUNNING} AND attempts = $2 AND NOT cancel_requested "
        f"RETURNING {returning}",
        claim.id,
        claim.attempt,
        *values,
    )
    if not found:
        raise LeaseLost


async def fail_attempt(
    claim: Claim, error: str, traceback: str, *, permanent: bool, backoff: Sequence[float] = ()
) -> str | None:
    """Queue the task for another attempt, or end it as failed, or as cancelled if requested.

    `backoff` has the seconds to wait after each attempt; the last one counts for all later ones.

    Returns:
        The new state; None if this attempt no longer had the task.

    """
    is_last = "$5 OR attempts >= max_attempts"
    found = await rows(
        f"""
        UPDATE tasks SET {ended_attempt(is_last, "$6::float8[]", "$3", "$4")}
        WHERE id = $1 AND {_IS_RUNNING} AND attempts = $2
        RETURNING state, {_WAKE}
        """,  # noqa: S608  constants of this module only
        claim.id,
        claim.attempt,
        error,
        traceback,
        permanent,
        list(backoff),
    )
    return found[0]["state"] if found else None


async def snooze(claim: Claim, seconds: float) -> None:
    """Queue a running task again, due after a time; the attempt does not count.

    The number of attempts stays, because it is the fence, so `max_attempts` rises.

    Raises:
        LeaseLost: this attempt no longer has the task, or cancellation was requested.

    """
    await fenced(
        claim,
        "state = 'queued', available_at = now() + make_interval(secs => $3), "
        "published_at = NULL, lease_until = NULL, max_attempts = max_attempts + 1",
        seconds,
        returning=f"id, {_WAKE}",
    )


async def mark_cancelled(claim: Claim) -> bool:
    """Mark the task cancelled if cancellation was requested; return whether it was."""
    found = await rows(
        "UPDATE tasks SET state = 'cancelled', finished_at = now(), lease_until = NULL "  # noqa: S608  constants only
        f"WHERE id = $1 AND {_IS_RUNNING} AND attempts = $2 AND cancel_requested "
        f"RETURNING id, {_WAKE}",
        claim.id,
        claim.attempt,
    )
    return bool(found)


def ended_attempt(is_last: str, backoff: str, error: str, traceback: str = "NULL") -> str:
    """Return the SET clause of an attempt that did not succeed.

    `is_last` is a condition, `backoff` an array of seconds; if it is empty the default holds.
    `error` and `traceback` are texts, kept for each of the last `KEPT_ERRORS` attempts.
    """
    own = f"{JITTER} * ({backoff})[least(attempts, cardinality({backoff}))]"
    return f"""
        state = CASE WHEN cancel_requested THEN 'cancelled'
                     WHEN {is_last} THEN 'failed' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_requested OR {is_last} THEN now() END,
        available_at = now() + coalesce(make_interval(secs => {own}), {BACKOFF}),
        published_at = NULL, lease_until = NULL,
        error = {error}::text, traceback = {traceback}::text,
        errors = CASE WHEN jsonb_array_length(errors) >= {KEPT_ERRORS} THEN errors - 0
                      ELSE coalesce(errors, '[]') END || jsonb_build_object(
            'attempt', attempts, 'at', now(), 'worker', worker,
            'error', {error}::text, 'traceback', right({traceback}::text, {KEPT_TRACEBACK}))
    """
