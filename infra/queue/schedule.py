"""Enqueueing of scheduled tasks: the first relay that records a slot enqueues its task.

A row of `task_schedules` is changed and its task inserted by one statement, so each slot is
enqueued once by any number of relays, or not at all. Operators' changes are in `schedules`.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

import asyncpg

from infra.observability import logs
from infra.observability.events import Event
from infra.queue.kind import TaskKind
from infra.queue.timing import EPOCH, Cron, InvalidTiming, Timing, parse

# The join returns the database's time also if there is no schedule.
_READ = """
    SELECT now() AS at, name, declared, timing, paused_at, last_slot
    FROM (SELECT) AS once LEFT JOIN task_schedules ON TRUE
"""
# The first slot of a cron expression is the first one after the relays know it. An interval's last
# slot is enqueued at once, and a changed interval goes on with its next slot.
_ADOPT = """
    INSERT INTO task_schedules AS schedule (name, declared, last_slot)
    VALUES ($1, $2, CASE WHEN $3 THEN now() ELSE $4 END)
    ON CONFLICT (name) DO UPDATE
    SET declared = excluded.declared,
        last_slot = CASE WHEN schedule.timing IS NULL
                         THEN greatest(schedule.last_slot, excluded.last_slot)
                         ELSE schedule.last_slot END
    WHERE schedule.declared IS DISTINCT FROM excluded.declared
"""
# Serves no slot if another relay or an operator has changed the schedule since it was read: another
# timing moves `last_slot`, too. An open task also serves the slots that begin before it ends.
_ENQUEUE_SLOT = """
    WITH served AS (
        UPDATE task_schedules SET last_slot = $3
        WHERE name = $2 AND last_slot = $4 AND paused_at IS NULL
        RETURNING name
    )
    INSERT INTO tasks (id, name, args, version, dedupe_key)
    SELECT $1, name, '{}', $5, name FROM served
    ON CONFLICT DO NOTHING
"""

log = logs.get_logger(__name__)


class Scheduler:
    """The scheduler of one relay."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        # The timings whose rows this relay has compared: while two releases run, their relays must
        # not take turns in changing a row.
        self._adopted: dict[str, Timing] = {}
        self._logged: set[tuple[str, str]] = set()

    async def enqueue_due(self, kinds: Iterable[TaskKind]) -> None:
        """Enqueue the scheduled tasks whose slot has begun and is not served.

        Of several slots that have passed, only the last one is enqueued.
        """
        declared_by = {kind.name: kind for kind in kinds if kind.timing}
        scheduled = {name: kind.timing for name, kind in declared_by.items() if kind.timing}
        at, stored = await self._read()
        if await self._adopt(scheduled, stored):
            at, stored = await self._read()
        for name, declared in scheduled.items():
            schedule = stored.get(name)
            if schedule is None or schedule["paused_at"]:
                continue
            timing = self._timing(schedule, declared)
            if timing and timing.next_after(schedule["last_slot"]) <= at:
                slot = timing.latest(at)
                await self._enqueue(schedule, timing, slot, declared_by[name].version)

    async def _read(self) -> tuple[datetime, dict[str, asyncpg.Record]]:
        """Return the database's time, and the rows of the schedules by their names."""
        found = await self._connection.fetch(_READ)
        return found[0]["at"], {row["name"]: row for row in found if row["name"]}

    async def _adopt(
        self, scheduled: dict[str, Timing], stored: dict[str, asyncpg.Record]
    ) -> list[str]:
        """Store the declarations of this release that are new; return their names."""
        new = []
        for name, timing in scheduled.items():
            row = stored.get(name)
            is_first_look = self._adopted.get(name) != timing
            if row is None or (is_first_look and row["declared"] != str(timing)):
                await self._connection.execute(
                    _ADOPT, name, str(timing), isinstance(timing, Cron), EPOCH
                )
                new.append(name)
            self._adopted[name] = timing
        return new

    def _timing(self, schedule: asyncpg.Record, declared: Timing) -> Timing | None:
        """Return what an operator has set, or else what is declared; None if it is invalid."""
        name, text = schedule["name"], schedule["timing"]
        try:
            return declared if text is None else parse(text)
        except InvalidTiming as error:
            if (name, text) not in self._logged:
                self._logged.add((name, text))
                log.warning(Event.SCHEDULE_INVALID, task=name, timing=text, error=str(error))
            return None

    async def _enqueue(
        self, schedule: asyncpg.Record, timing: Timing, slot: datetime, version: int
    ) -> None:
        name = schedule["name"]
        await self._connection.execute(
            _ENQUEUE_SLOT,
            uuid5(NAMESPACE_OID, f"{name}@{timing.slot_id(slot)}"),
            name,
            slot,
            schedule["last_slot"],
            version,
        )
