"""Long tasks: how far one has come is in its row, and it lets others run in between."""

from typing import Any

import orjson

from infra.db.sql import rows
from infra.queue.leases import LEASE_SECONDS, Claim, fenced


async def read(claim: Claim) -> dict[str, Any] | None:
    """Return the checkpoint of a task; None if it has none yet."""
    (row,) = await rows("SELECT checkpoint FROM tasks WHERE id = $1", claim.id)
    return row["checkpoint"] and orjson.loads(row["checkpoint"])  # type: ignore[no-any-return]


async def save(claim: Claim, checkpoint: dict[str, Any], percent: int) -> None:
    """Store the checkpoint and the progress, 0 to 100, and renew the lease.

    Raises:
        LeaseLost: this attempt no longer has the task, or cancellation was requested.

    """
    await fenced(
        claim,
        "checkpoint = $5::jsonb, progress = $4, lease_until = now() + make_interval(secs => $3)",
        LEASE_SECONDS,
        percent,
        orjson.dumps(checkpoint).decode(),
    )
