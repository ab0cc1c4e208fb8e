"""Tasks that wait for others: the relays tell successors of each end, however a task has ended.

A child's `waits_for` is the number of its edges that are not met. A child with such edges is due
at infinity, so neither relay nor claim takes it, and its last edge makes it due. No statement that
ends a task knows of successors: the task's row says that it is awaited.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from infra.db.sql import rows
from infra.observability import logs
from infra.observability.events import Event
from infra.queue.errors import InvalidWorkflow, UnknownPredecessor
from infra.queue.table import FINAL, unindexed

PREDECESSOR_FAILED = "A task that it waits for has failed or was cancelled"
# How many ended tasks a transaction tells about.
BATCH = 200
MAX_NAME = 128
# How many edges a statement inserts.
CHUNK = 5000

# A task that another transaction changes is left for the next pass: a relay waits for none.
_ENDED = """
    SELECT id, state = 'succeeded' AS is_success FROM tasks
    WHERE is_awaited AND finished_at >= coalesce($1::timestamptz, '-infinity')
      AND id <> ALL($2::uuid[])
    ORDER BY finished_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
"""
# Read after the lock on the parent: every transaction that adds an edge takes it.
_EDGES = """
    SELECT id, parent_id, child_id, runs_on_failure FROM task_edges
    WHERE parent_id = ANY($1::uuid[]) AND NOT is_met
"""
_CHILDREN = """
    SELECT id FROM tasks WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
_MARK_MET = "UPDATE task_edges SET is_met = TRUE WHERE id = ANY($1::bigint[])"
_TELL = """
    UPDATE tasks SET waits_for = waits_for - told.met,
        available_at = CASE WHEN told.is_free AND concurrency_key IS NULL THEN now()
                            ELSE available_at END,
        due_at = CASE WHEN told.is_free AND concurrency_key IS NOT NULL THEN now()
                      ELSE due_at END,
        state = CASE WHEN told.is_cancelled THEN 'cancelled' ELSE state END,
        finished_at = CASE WHEN told.is_cancelled THEN now() ELSE finished_at END,
        error = CASE WHEN told.is_cancelled THEN $4 ELSE error END
    FROM (
        SELECT told.id, met, state = 'queued' AND waits_for = met AS is_free,
               state = 'queued' AND is_broken AS is_cancelled
        FROM unnest($1::uuid[], $2::int[], $3::bool[]) AS told (id, met, is_broken)
        JOIN tasks ON tasks.id = told.id
    ) AS told
    WHERE tasks.id = told.id
    RETURNING tasks.id, name, request_id, is_cancelled
"""
_DONE = "UPDATE tasks SET is_awaited = FALSE WHERE id = ANY($1::uuid[])"

# True for a task of which successors are not told.
IS_AWAITED = "EXISTS (SELECT FROM task_edges WHERE parent_id = tasks.id AND NOT is_met)"
_REVIVE = f"""
    WITH RECURSIVE skipped AS (
        SELECT child_id AS id FROM task_edges
        WHERE parent_id = ANY($1::uuid[]) AND NOT is_met
        UNION
        SELECT child_id FROM skipped JOIN tasks USING (id) JOIN task_edges ON parent_id = tasks.id
        WHERE state = 'cancelled' AND NOT cancel_requested AND NOT is_met
    )
    UPDATE tasks SET state = 'queued', available_at = 'infinity', due_at = NULL,
        start_before = NULL, finished_at = NULL, error = NULL, is_awaited = {IS_AWAITED}
    WHERE id IN (SELECT id FROM skipped) AND {unindexed("state = 'cancelled'")}
      AND NOT cancel_requested AND waits_for > 0
    RETURNING id
"""  # noqa: S608  constants of this room
_AWAIT_AGAIN = f"""
    UPDATE tasks SET is_awaited = TRUE
    WHERE {unindexed("state IN ('failed', 'cancelled')")} AND id IN (
        SELECT parent_id FROM task_edges WHERE child_id = ANY($1::uuid[]) AND NOT is_met)
"""  # noqa: S608  constants of this room

log = logs.get_logger(__name__)


class OnFailure(StrEnum):
    """What becomes of a task when one that it waits for fails or is cancelled."""

    CANCEL = "cancel"
    RUN = "run"


class Edge(NamedTuple):
    """A child waits for a parent, which it calls by a name."""

    parent: UUID
    child: UUID
    name: str
    on_failure: OnFailure
    is_met: bool = False


class Parents(NamedTuple):
    """The tasks that a new one waits for, by its names; those of `ended` need no waiting."""

    ids: Mapping[str, UUID]
    ended: frozenset[UUID]
    workflow_id: UUID
    on_failure: OnFailure

    @property
    def waits_for(self) -> int:
        """The number of those that have to end yet."""
        return sum(parent not in self.ended for parent in self.ids.values())

    def edges_to(self, child: UUID) -> list[Edge]:
        """Return the edges of the new task."""
        return [
            Edge(parent, child, name, self.on_failure, parent in self.ended)
            for name, parent in self.ids.items()
        ]


async def tell(connection: asyncpg.Connection, ended_since: datetime | None) -> bool:
    """Tell the successors of all tasks that have ended, those cancelled on the way too.

    Returns:
        Whether some are left, because other transactions change their rows.

    """
    left: set[UUID] = set()
    while True:
        async with connection.transaction():
            found = await connection.fetch(_ENDED, ended_since, list(left), BATCH)
            if not found:
                return bool(left)
            left |= await _tell_of(connection, {row["id"]: row["is_success"] for row in found})


async def _tell_of(connection: asyncpg.Connection, ended: Mapping[UUID, bool]) -> set[UUID]:
    """Tell the successors of ended tasks; return the tasks of which not all were told."""
    edges = await connection.fetch(_EDGES, list(ended))
    children = await connection.fetch(_CHILDREN, list({edge["child_id"] for edge in edges}))
    locked = {row["id"] for row in children}
    left = {edge["parent_id"] for edge in edges if edge["child_id"] not in locked}
    edges = [edge for edge in edges if edge["child_id"] in locked]
    met = [edge for edge in edges if ended[edge["parent_id"]] or edge["runs_on_failure"]]
    broken = {
        edge["child_id"]
        for edge in edges
        if not (ended[edge["parent_id"]] or edge["runs_on_failure"])
    }
    counts = Counter(edge["child_id"] for edge in met)
    if edges:
        await connection.execute(_MARK_MET, [edge["id"] for edge in met])
        told = await connection.fetch(
            _TELL,
            list(locked),
            [counts[child] for child in locked],
            [child in broken for child in locked],
            PREDECESSOR_FAILED,
        )
        for row in told:
            if row["is_cancelled"]:
                log.warning(
                    Event.TASK_PREDECESSOR_FAILED,
                    task_id=str(row["id"]),
                    task=row["name"],
                    request_id=row["request_id"],
                )
    await connection.execute(_DONE, list(ended.keys() - left))
    return left


def check_name(name: str) -> None:
    """Raise InvalidWorkflow if a name of a task's predecessor is empty or too long."""
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidWorkflow(f"A name has 1 to {MAX_NAME} characters (it is {name!r})")


async def lock(ids: Mapping[str, UUID], on_failure: OnFailure) -> Parents:
    """Lock the tasks that a new one waits for, in the running transaction.

    The new task joins the workflow of one of them, and those without one join it too.

    Raises:
        InvalidWorkflow: a name is empty or too long.
        UnknownPredecessor: no task has one of these ids.

    """
    for name in ids:
        check_name(name)
    parents = list(ids.values())
    found = await rows(
        "SELECT id, state, workflow_id FROM tasks WHERE id = ANY($1::uuid[]) "
        "ORDER BY id FOR NO KEY UPDATE",
        parents,
    )
    if unknown := set(parents) - {row["id"] for row in found}:
        raise UnknownPredecessor(f"No task has the id {min(unknown)}, so none can wait for it")
    enough = FINAL if on_failure is OnFailure.RUN else {"succeeded"}
    ended = frozenset(row["id"] for row in found if row["state"] in enough)
    workflow_id = next((row["workflow_id"] for row in found if row["workflow_id"]), uuid7())
    await rows(
        "UPDATE tasks SET is_awaited = is_awaited OR id <> ALL($2::uuid[]), "
        "workflow_id = coalesce(workflow_id, $3) WHERE id = ANY($1::uuid[])",
        parents,
        list(ended),
        workflow_id,
    )
    return Parents(ids, ended, workflow_id, on_failure)


async def revive(retried: Collection[UUID]) -> None:
    """Let the tasks wait again that were cancelled because these ended, in the running transaction.

    Those that an operator has cancelled stay so. A predecessor that is still a failed one cancels
    again.
    """
    revived = await rows(_REVIVE, list(retried))
    await rows(_AWAIT_AGAIN, [*retried, *(row["id"] for row in revived)])


async def disconnect(task_id: UUID) -> None:
    """Delete the edges of a task that is deleted."""
    await rows("DELETE FROM task_edges WHERE parent_id = $1 OR child_id = $1", task_id)


async def connect(edges: Iterable[Edge]) -> None:
    """Insert edges; the rows of parents and children say already that there are some."""
    new = list(edges)
    for start in range(0, len(new), CHUNK):
        chunk = new[start : start + CHUNK]
        await rows(
            "INSERT INTO task_edges (parent_id, child_id, name, runs_on_failure, is_met) "
            "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bool[], $5::bool[])",
            [edge.parent for edge in chunk],
            [edge.child for edge in chunk],
            [edge.name for edge in chunk],
            [edge.on_failure is OnFailure.RUN for edge in chunk],
            [edge.is_met for edge in chunk],
        )
