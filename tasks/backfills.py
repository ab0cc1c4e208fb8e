"""Backfills: the rows of before a migration get their new values, a batch of keys at a time.

A batch and the checkpoint after it commit together, so a run that dies loses no more than its last
batch, and the next one goes on there. A backfill works for a share of the time only, and gives the
worker's process back after each slice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any
from uuid import UUID

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue.enqueue import enqueue
from infra.queue.errors import Snooze
from tasks.registry import TaskContext, task

SLICE_SECONDS = 10.0
# The time limit of a slice, with its last batch.
LIMIT_SECONDS = 300.0
ATTEMPTS = 21
# Other tasks of the queue leave it first.
PRIORITY = -10
# From so many rows on, an estimate of their number will do.
COUNTED_ROWS = 100_000

# Changes the rows of these keys, all of which exist; a second call with them changes nothing.
Fill = Callable[[Sequence[Any]], Awaitable[None]]


@dataclass(frozen=True)
class Backfill:
    """A declared backfill; `share` is the part of the time in which it works, up to 1."""

    name: str
    table: str
    key: str
    batch: int
    share: float


@dataclass(frozen=True)
class Position:
    """A checkpoint: the last key that is done, and how many rows of how many."""

    after: Any = None
    done: int = 0
    total: int = 0

    @property
    def percent(self) -> int:
        """The progress; a table that grows meanwhile is not done before its end."""
        return min(99, self.done * 100 // max(self.total, 1))


BACKFILLS: dict[str, Backfill] = {}


def backfill(
    name: str, *, table: str, key: str = "id", batch: int = 500, share: float = 0.25
) -> Callable[[Fill], Fill]:
    """Register a coroutine function that fills the rows of a batch of keys.

    `key` is the table's primary key, of a type that JSON has, or a UUID. The function runs in the
    batch's transaction.

    Raises:
        ValueError: another task has this name, or `share` is not from above 0 to 1.

    """
    if not 0 < share <= 1:
        raise ValueError(f"the share of {name} must be from above 0 to 1 (it is {share})")
    plan = Backfill(name, table, key, batch, share)

    def register(fill: Fill) -> Fill:
        @wraps(fill)
        async def run(context: TaskContext) -> None:
            await _run(context, plan, fill)

        task(
            name,
            queue="maintenance",
            max_attempts=ATTEMPTS,
            timeout=LIMIT_SECONDS,
            priority=PRIORITY,
        )(run)
        BACKFILLS[name] = plan
        return fill

    return register


async def start(name: str) -> UUID:
    """Enqueue a backfill, or return the id of the task that already does it."""
    return await enqueue(name, {}, dedupe_key=f"backfill:{name}")


async def _run(context: TaskContext, plan: Backfill, fill: Fill) -> None:
    """Work until all rows are done, or give the task back after a slice."""
    ends = time.monotonic() + SLICE_SECONDS
    stored = await context.checkpoint()
    position = Position(**stored) if stored else Position(total=await _count(plan))
    # The claim has reset the progress.
    await context.save(vars(position), position.percent)
    while keys := await _next_keys(plan, position):
        began = time.monotonic()
        last = str(keys[-1]) if isinstance(keys[-1], UUID) else keys[-1]
        position = replace(position, after=last, done=position.done + len(keys))
        async with transaction():
            await fill(keys)
            await context.save(vars(position), position.percent)
        now = time.monotonic()
        pause = (now - began) * (1 / plan.share - 1)
        if now + pause > ends:
            raise Snooze(pause)
        await asyncio.sleep(pause)


async def _next_keys(plan: Backfill, position: Position) -> list[Any]:
    after, values = (
        ("", []) if position.after is None else (f"WHERE {plan.key} > $1", [position.after])
    )
    found = await rows(
        f"SELECT {plan.key} AS key FROM {plan.table} {after} "  # noqa: S608  names of the code's
        f"ORDER BY {plan.key} LIMIT {plan.batch}",
        *values,
    )
    return [row["key"] for row in found]


async def _count(plan: Backfill) -> int:
    """Return the number of rows, exact if there are few."""
    query = "SELECT reltuples::bigint AS total FROM pg_class WHERE oid = to_regclass($1)"
    (estimate,) = await rows(query, plan.table)
    if estimate["total"] > COUNTED_ROWS:
        return int(estimate["total"])
    (exact,) = await rows(f"SELECT count(*) AS total FROM {plan.table}")  # noqa: S608  a name of the code's
    return int(exact["total"])
