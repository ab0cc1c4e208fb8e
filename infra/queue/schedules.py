"""Operations on schedules: list, pause, resume, set another timing.

A change is a row, so it holds over restarts and releases. The slots of a pause, and those before a
change of the timing, are not made up for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue import hooks
from infra.queue.errors import ScheduleNotFound
from infra.queue.hooks import ScheduleOperation
from infra.queue.kind import TaskKind
from infra.queue.timing import EPOCH, Cron, InvalidTiming, Timing, parse

_COLUMNS = "name, declared, timing, paused_at, last_slot"
_LIST = f"SELECT now() AS at, {_COLUMNS} FROM (SELECT) AS once LEFT JOIN task_schedules ON TRUE"  # noqa: S608  a constant
# No relay has seen the schedule yet.
_ADD = """
    INSERT INTO task_schedules (name, declared, last_slot) VALUES ($1, $2, now())
    ON CONFLICT DO NOTHING
"""
_LOCK = "SELECT timing FROM task_schedules WHERE name = $1 FOR UPDATE"
_PAUSE = """
    UPDATE task_schedules SET paused_at = now()
    WHERE name = $1 AND paused_at IS NULL RETURNING name
"""
_RESUME = """
    UPDATE task_schedules SET paused_at = NULL, last_slot = greatest(last_slot, now())
    WHERE name = $1 AND paused_at IS NOT NULL RETURNING name
"""
_SET = """
    UPDATE task_schedules SET timing = $2, last_slot = greatest(last_slot, now())
    WHERE name = $1 AND timing IS DISTINCT FROM $2 RETURNING name
"""


class ScheduleState(StrEnum):
    """Whether a schedule runs; `undeclared` is one that no task of this release has."""

    ACTIVE = "active"
    PAUSED = "paused"
    UNDECLARED = "undeclared"
    INVALID = "invalid"


@dataclass(frozen=True)
class Schedule:
    """A schedule; `timing` is what an operator has set, or else what is declared.

    `last_slot` is the last slot that was enqueued or passed over, `next_slot` the one that is
    enqueued next if it is active. `zone` is that of the timing.
    """

    name: str
    state: ScheduleState
    timing: str | None
    declared: str | None
    last_slot: datetime | None
    next_slot: datetime | None
    paused_at: datetime | None
    zone: tzinfo | None


async def list_schedules(kinds: Mapping[str, TaskKind]) -> list[Schedule]:
    """Return the schedules of these kinds of tasks and all that are stored, by their names."""
    found = await rows(_LIST)
    at, stored = found[0]["at"], {row["name"]: row for row in found if row["name"]}
    declared = {name: kind.timing for name, kind in kinds.items() if kind.timing}
    return [
        _schedule(name, declared.get(name), stored.get(name), at)
        for name in sorted(declared.keys() | stored.keys())
    ]


async def pause(name: str, kinds: Mapping[str, TaskKind]) -> None:
    """Enqueue no slot of a schedule from now on; it does nothing if that is so.

    Raises:
        ScheduleNotFound: none of the kinds has this schedule.

    """
    await _change(ScheduleOperation.PAUSE, name, kinds, _PAUSE)


async def resume(name: str, kinds: Mapping[str, TaskKind]) -> None:
    """Enqueue the slots of a paused schedule that begin from now on.

    Raises:
        ScheduleNotFound: none of the kinds has this schedule.

    """
    await _change(ScheduleOperation.RESUME, name, kinds, _RESUME)


async def set_timing(name: str, timing: Timing | None, kinds: Mapping[str, TaskKind]) -> None:
    """Let a timing replace the declared one from now on, or with None end that.

    Raises:
        ScheduleNotFound: none of the kinds has this schedule.

    """
    text = None if timing is None else str(timing)
    await _change(ScheduleOperation.SET, name, kinds, _SET, text)


async def _change(
    operation: ScheduleOperation,
    name: str,
    kinds: Mapping[str, TaskKind],
    statement: str,
    *values: str | None,
) -> None:
    """Run a statement and the hooks in one transaction, unless it changes nothing."""
    kind = kinds.get(name)
    if kind is None or kind.timing is None:
        raise ScheduleNotFound
    declared = str(kind.timing)
    async with transaction():
        await rows(_ADD, name, declared)
        (before,) = await rows(_LOCK, name)
        if not await rows(statement, name, *values):
            return
        details = None
        if operation is ScheduleOperation.SET:
            details = {"before": before["timing"] or declared, "after": values[0] or declared}
        await hooks.run_on_schedule(operation, name, details)


def _schedule(
    name: str, declared: Timing | None, row: Mapping[str, Any] | None, at: datetime
) -> Schedule:
    row = row or {"declared": None, "timing": None, "paused_at": None, "last_slot": None}
    text = row["timing"] or (str(declared) if declared else row["declared"])
    timing: Timing | None
    try:
        timing = parse(text) if text else None
        state = ScheduleState.PAUSED if row["paused_at"] else ScheduleState.ACTIVE
    except InvalidTiming:
        timing, state = None, ScheduleState.INVALID
    if declared is None:
        state = ScheduleState.UNDECLARED
    following = None
    if timing and state is ScheduleState.ACTIVE:
        following = _next_slot(timing, row["last_slot"], at)
    return Schedule(
        name=name,
        state=state,
        timing=text,
        declared=str(declared) if declared else row["declared"],
        # An interval that was never enqueued.
        last_slot=None if row["last_slot"] == EPOCH else row["last_slot"],
        next_slot=following,
        paused_at=row["paused_at"],
        zone=timing.zone if timing else None,
    )


def _next_slot(timing: Timing, last_slot: datetime | None, at: datetime) -> datetime:
    """Return the next slot, or the one that is due."""
    since = last_slot or (at if isinstance(timing, Cron) else EPOCH)
    following = timing.next_after(since)
    return following if following > at else timing.latest(at)
