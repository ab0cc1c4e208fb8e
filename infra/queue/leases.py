"""How a task has its effects once: claim, lease, fence by attempt, retry.

All times come from the database, so a worker with a wrong clock takes no task of another worker.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from infra.db.sql import rows
from infra.queue.errors import LeaseLost
from infra.queue.table import unindexed

LEASE_SECONDS = 30.0
BASE_BACKOFF_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 600.0

# Jitter over the upper half spreads the retries of a mass failure, and none comes at once.
BACKOFF = f"""
    make_interval(secs => (0.5 + random() / 2) * least(
        {MAX_BACKOFF_SECONDS}, {BASE_BACKOFF_SECONDS} * power(2, least(attempts, 16) - 1)))
"""

_IS_RUNNING = unindexed("state = 'running'")
_IS_CLAIMABLE = unindexed(
    "state = 'queued' AND available_at <= now() OR state = 'running' AND lease_until < now()"
)
# For a RETURNING clause: the commit of the statement then does not wait for the disk.
_NO_WAIT = "set_config('synchronous_commit', 'off', true)"
_SUCCEEDED = (
    "state = 'succeeded', progress = 100, finished_at = now(), lease_until = NULL, "
    "error = NULL, traceback = NULL"
)


# Runs a statement with its values; returns its rows.
Fetch = Callable[..., Awaitable[Sequence[Any]]]


@dataclass(frozen=True)
class Claim:
    """A task that this process may run; `attempt` is the fence."""

    id: UUID
    name: str
    args: dict[str, Any]
    attempt: int
    request_id: str | None


async def claim(task_id: UUID, worker: str) -> Claim | None:
    """Take the task and count the attempt, before any work; None if it cannot be claimed.

    The commit does not wait for the disk. A crash of the server at that moment may lose the claim.
    Then the attempt runs again, and still only one run can finish the task.
    """
    found = await rows(
        f"""
        UPDATE tasks
        SET state = 'running', attempts = attempts + 1, progress = 0,
            started_at = coalesce(started_at, now()), worker = $3,
            lease_until = now() + make_interval(secs => $2)
        WHERE id = $1
          AND NOT cancel_requested
          AND attempts < max_attempts
          AND {_IS_CLAIMABLE}
        RETURNING id, name, args, attempts, request_id, {_NO_WAIT}
        """,  # noqa: S608  constants of this module only
        task_id,
        LEASE_SECONDS,
        worker,
    )
    if not found:
        return None
    row = found[0]
    args = orjson.loads(row["args"])
    return Claim(row["id"], row["name"], args, row["attempts"], row["request_id"])


async def extend(claim: Claim, fetch: Fetch = rows) -> None:
    """Renew the lease of a running task; `fetch` runs the statement.

    Raises:
        LeaseLost: this attempt no longer has the task, or cancellation was requested.

    """
    await _fenced(
        claim,
        "lease_until = now() + make_interval(secs => $3)",
        LEASE_SECONDS,
        fetch=fetch,
    )


async def report(claim: Claim, percent: int) -> None:
    """Store the progress, 0 to 100, and renew the lease.

    Raises:
        LeaseLost: this attempt no longer has the task, or cancellation was requested.

    """
    await _fenced(
        claim,
        "progress = $4, lease_until = now() + make_interval(secs => $3)",
        LEASE_SECONDS,
        percent,
    )


async def finish(claim: Claim) -> None:
    """Mark the task succeeded, in the transaction of its effects.

    Raises:
        LeaseLost: this attempt no longer has the task; the transaction must roll back.

    """
    await _fenced(claim, _SUCCEEDED)


async def complete_without_effects(claim: Claim) -> None:
    """Mark a task without database effects succeeded; the commit does not wait for the disk.

    A crash of the server at that moment may lose the mark. Then the task runs again, the same as
    after a crash of its process just before this call.

    Raises:
        LeaseLost: this attempt no longer has the task.

    """
    await _fenced(claim, _SUCCEEDED, returning=f"id, {_NO_WAIT}")


async def _fenced(
    claim: Claim,
    assignments: str,
    *values: object,
    returning: str = "id",
    fetch: Fetch = rows,
) -> None:
    found = await fetch(
        f"UPDATE tasks SET {assignments} "  # noqa: S608  constants of this module only
        f"WHERE id = $1 AND {_IS_RUNNING} AND attempts = $2 AND NOT cancel_requested "
        f"RETURNING {returning}",
        claim.id,
        claim.attempt,
        *values,
    )
    if not found:
        raise LeaseLost


async def fail_attempt(claim: Claim, error: str, traceback: str, *, permanent: bool) -> str | None:
    """Queue the task for another attempt, or end it as failed, or as cancelled if requested.

    Returns:
        The new state; None if this attempt no longer had the task.

    """
    found = await rows(
        f"""
        UPDATE tasks SET {ended_attempt("$5 OR attempts >= max_attempts")}, error = $3,
            traceback = $4
        WHERE id = $1 AND {_IS_RUNNING} AND attempts = $2
        RETURNING state
        """,  # noqa: S608  constants of this module only
        claim.id,
        claim.attempt,
        error,
        traceback,
        permanent,
    )
    return found[0]["state"] if found else None


async def mark_cancelled(claim: Claim) -> bool:
    """Mark the task cancelled if cancellation was requested; return whether it was."""
    found = await rows(
        "UPDATE tasks SET state = 'cancelled', finished_at = now(), lease_until = NULL "  # noqa: S608
        f"WHERE id = $1 AND {_IS_RUNNING} AND attempts = $2 AND cancel_requested RETURNING id",
        claim.id,
        claim.attempt,
    )
    return bool(found)


def ended_attempt(is_last: str) -> str:
    """Return the SET clause of an attempt that did not succeed; `is_last` is a condition."""
    return f"""
        state = CASE WHEN cancel_requested THEN 'cancelled'
                     WHEN {is_last} THEN 'failed' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_requested OR {is_last} THEN now() END,
        available_at = now() + {BACKOFF},
        published_at = NULL, lease_until = NULL
    """
