"""Periodic tasks: each is enqueued once a slot, by the relay that writes the slot down first."""

from collections.abc import Iterable
from uuid import NAMESPACE_OID, uuid5

import asyncpg

from infra.queue.kind import TaskKind

# A task that is open serves the slots that pass meanwhile. The id is derived from the slot, as
# relays of older releases derive it.
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
    """The slots that one relay knows to be served."""

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
