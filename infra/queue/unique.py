"""Unique tasks: of those of a kind with the same arguments one is enqueued, for a period.

The dedupe key of the row holds as long as the task is open, by its unique index. For a period that
goes on after its end, a row of `task_dedupe_keys` holds the key, by its primary key.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from infra.db.sql import rows

MAX_PERIOD_SECONDS = 100 * 366 * 86400.0

# In one order, so that two transactions with the same keys do not block each other.
_HOLD = """
    INSERT INTO task_dedupe_keys AS held (key, task_id, held_until)
    SELECT key, task_id, clock_timestamp() + make_interval(secs => $3)
    FROM unnest($1::text[], $2::uuid[]) AS new (key, task_id) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET task_id = excluded.task_id, held_until = excluded.held_until
    WHERE held.held_until <= clock_timestamp()
    RETURNING key
"""
_HOLDERS = "SELECT key, task_id FROM task_dedupe_keys WHERE key = ANY($1::text[])"
# The open tasks hold their keys themselves.
_LEAVE = """
    UPDATE task_dedupe_keys SET task_id = open.task_id, held_until = clock_timestamp()
    FROM unnest($1::text[], $2::uuid[]) AS open (key, task_id)
    WHERE task_dedupe_keys.key = open.key
"""
_RELEASE = """
    WITH released AS (
        UPDATE tasks SET dedupe_key = NULL
        FROM (SELECT id, dedupe_key FROM tasks WHERE id = $1 FOR NO KEY UPDATE) AS before
        WHERE tasks.id = before.id
        RETURNING before.dedupe_key
    )
    DELETE FROM task_dedupe_keys USING released
    WHERE key = released.dedupe_key AND task_id = $1
"""


class OnConflict(StrEnum):
    """What becomes of a task whose key another one has."""

    KEEP = "keep"
    REPLACE = "replace"


@dataclass(frozen=True)
class Unique:
    """Of the tasks of a kind that have the same arguments `on`, or the same ones, one is enqueued.

    With `KEEP`, the first one stands while it is open, and for `seconds` from when it was enqueued,
    whatever has become of it. With `REPLACE`, one that is queued gets the arguments, the time and
    the other properties of the new one. One that runs keeps its own, and the new one is another
    task: the newest arguments always have a run.
    """

    seconds: float = 0
    on: Collection[str] | None = None
    on_conflict: OnConflict = OnConflict.KEEP

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: `seconds` is negative or above `MAX_PERIOD_SECONDS`, or is given with
                `REPLACE`, for a task that has ended can't be replaced.
            TypeError: `on` is a text.

        """
        # NaN is in no range.
        if not 0 <= self.seconds <= MAX_PERIOD_SECONDS:
            raise ValueError(
                f"seconds must be from 0 to {MAX_PERIOD_SECONDS:g} (it is {self.seconds})"
            )
        if self.seconds and self.on_conflict is OnConflict.REPLACE:
            raise ValueError("give seconds or REPLACE, not both: what has ended is not replaced")
        if isinstance(self.on, str):
            raise TypeError(f"on has names of arguments; write [{self.on!r}]")

    def key(self, name: str, stored: str) -> str:
        """Return the dedupe key of a task, from the JSON of its arguments.

        Raises:
            ValueError: one of the arguments `on` is not given.

        """
        # The library of Python keeps integers of any size.
        args = json.loads(stored)
        if self.on is not None:
            if missing := sorted(set(self.on) - args.keys()):
                raise ValueError(f"{name} is unique on {missing[0]!r}, which is not given")
            args = {field: args[field] for field in self.on}
        text = json.dumps(args, sort_keys=True, separators=(",", ":"))
        return f"{name}:{hashlib.sha256(text.encode()).hexdigest()}"


async def hold(wanted: Mapping[str, UUID], seconds: float) -> dict[str | None, UUID]:
    """Hold keys for new tasks, in the running transaction; return the holders of the others."""
    holders: dict[str | None, UUID] = {}
    left = dict(wanted)
    while left:
        held = await rows(_HOLD, list(left), list(left.values()), seconds)
        for row in held:
            del left[row["key"]]
        # A period may have ended between the two statements, and its row may be gone.
        found = await rows(_HOLDERS, list(left)) if left else []
        holders |= {row["key"]: row["task_id"] for row in found}
        left = {key: task_id for key, task_id in left.items() if key not in holders}
    return holders


async def leave(holders: Mapping[str, UUID]) -> None:
    """Leave held keys to the open tasks that have them, in the running transaction."""
    await rows(_LEAVE, list(holders), list(holders.values()))


async def release_dedupe_key(task_id: UUID) -> None:
    """Allow another task with the same dedupe key from now on, while this one still runs."""
    await rows(_RELEASE, task_id)
