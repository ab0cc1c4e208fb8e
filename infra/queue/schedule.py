"""Periodic tasks: the first relay that records a slot enqueues its task, so once per slot."""

from collections.abc import Iterable
from uuid import NAMESPACE_OID, uuid5

import asyncpg

from infra.queue.kind import TaskKind

# An open task also serves the slots that begin before it ends. The id is derived from the slot in
# the same way as in older releases, whose relays may still run.
_ENQUEUE_SLOT = """
    WITH served AS (
        INSERT INTO task_schedules AS schedule (name, last_slot)
        VALUES ($2, to_timestamp($3))
        ON CONFLICT (name) DO UPDATE SET last_slot = excluded.last_slot
        WHERE schedule.last_slot < excluded.last_slot
        RETURNING name
    )
    INSERT INTO tasks (id, name, args, dedupe_key)
    SELECT $1, name, '{}', name FROM served
    ON CONFLICT DO NOTHING
"""


class Schedule:
    """The scheduler of one relay; it remembers the last slot of each kind that it has served."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._served: dict[str, int] = {}

    async def enqueue_due(self, kinds: Iterable[TaskKind]) -> None:
        """Enqueue the periodic tasks whose slot has begun and is not served."""
        now = await self._connection.fetchval("SELECT extract(epoch FROM now())::float8")
        for kind in kinds:
            if not kind.every:
                continue
            slot = int(now // kind.every)
            if self._served.get(kind.name) == slot:
                continue
            await self._connection.execute(
                _ENQUEUE_SLOT,
                uuid5(NAMESPACE_OID, f"{kind.name}@{slot}"),
                kind.name,
                slot * kind.every,
            )
            self._served[kind.name] = slot
