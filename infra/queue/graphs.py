"""A workflow as a graph for operators: tasks of the same kind and place are one node."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue.errors import WorkflowNotFound

# The states of a workflow's tasks, those first that need an operator. `waiting` is a queued task
# that waits for others.
STATES = ("failed", "cancelled", "running", "queued", "waiting", "succeeded")
# How many tasks are counted, and of how many tasks and edges a graph is made.
MOST_COUNTED = 100_000
MOST_IN_GRAPH = 10_000
MOST_EDGES = 50_000

_STATE = "CASE WHEN state = 'queued' AND waits_for > 0 THEN 'waiting' ELSE state END AS state"
_COUNTS = f"""
    SELECT name, state, count(*) AS total FROM (
        SELECT name, {_STATE} FROM tasks WHERE workflow_id = $1 LIMIT $2
    ) AS counted GROUP BY name, state ORDER BY name
"""  # noqa: S608  constants only
# Tasks with the same kind, parents and children are in one group. It is one statement, so nodes
# and edges are those of one moment.
_GRAPH = f"""
    WITH member AS MATERIALIZED (
        SELECT id, name, {_STATE} FROM tasks WHERE workflow_id = $1 LIMIT $3
    ), known AS MATERIALIZED (
        SELECT parent_id, child_id, name, runs_on_failure FROM task_edges
        WHERE child_id = ANY(ARRAY(SELECT id FROM member)) LIMIT $4
    ), edge AS MATERIALIZED (
        SELECT parent_id, child_id, min(name) AS name, bool_and(runs_on_failure) AS runs_on_failure
        FROM known GROUP BY parent_id, child_id
    ), parents AS (
        SELECT child_id AS id, bit_xor(uuid_hash_extended(parent_id, 0)) AS hash
        FROM edge GROUP BY 1
    ), children AS (
        SELECT parent_id AS id, bit_xor(uuid_hash_extended(child_id, 0)) AS hash, min(name) AS step
        FROM edge GROUP BY 1
    ), placed AS MATERIALIZED (
        SELECT member.*, step, dense_rank() OVER (
            ORDER BY name, coalesce(parents.hash, 0), coalesce(children.hash, 0)
        ) - 1 AS number
        FROM member LEFT JOIN parents USING (id) LEFT JOIN children USING (id)
    ), counts AS (
        SELECT number, state, count(*) AS total, min(name) AS name, min(id::text) AS first_id,
               min(step) AS step, coalesce(bool_or(id = $2::uuid), FALSE) AS is_focus
        FROM placed GROUP BY number, state
    ), nodes AS (
        SELECT number, min(name) AS name, min(first_id) AS first_id, min(step) AS step,
               bool_or(is_focus) AS is_focus, json_object_agg(state, total) AS counts
        FROM counts GROUP BY number
    ), edges AS (
        SELECT parent.number AS parent, child.number AS child,
               bool_and(runs_on_failure) AS runs_on_failure
        FROM edge JOIN placed AS parent ON parent.id = parent_id
             JOIN placed AS child ON child.id = child_id
        GROUP BY 1, 2
    )
    SELECT (SELECT json_agg(nodes ORDER BY number) FROM nodes) AS nodes,
           (SELECT json_agg(edges ORDER BY parent, child) FROM edges) AS edges,
           (SELECT count(*) FROM known) AS known
"""  # noqa: S608  constants only


@dataclass(frozen=True)
class Node:
    """Tasks of one kind, the number of them by state, and the id of one of them.

    A task alone has the name by which its successors know it, its `step`. The focus is the node of
    the task from which the graph is seen.
    """

    name: str
    counts: Counter[str]
    task_id: UUID | None
    step: str | None = None
    is_focus: bool = False

    @property
    def state(self) -> str:
        """The state that is first in `STATES`."""
        return next(state for state in STATES if self.counts[state])


class NodeEdge(NamedTuple):
    """Tasks of the node `child` wait for tasks of the node `parent`; both are positions."""

    parent: int
    child: int
    runs_on_failure: bool


@dataclass(frozen=True)
class Graph:
    """A workflow; without edges if it `is_large`, and its nodes are kinds of tasks then."""

    counts: Counter[str]
    nodes: list[Node]
    edges: list[NodeEdge]
    is_large: bool

    @property
    def is_open(self) -> bool:
        """Whether a task may still run."""
        return any(self.counts[state] for state in ("running", "queued", "waiting"))


async def graph_of(workflow_id: UUID, focus: UUID | None = None) -> Graph:
    """Return a workflow, seen from one of its tasks or as a whole.

    Of a workflow with more than `MOST_IN_GRAPH` tasks, or with `MOST_EDGES` edges, the kinds are
    counted, and of one with more than `MOST_COUNTED` tasks so many of them.

    Raises:
        WorkflowNotFound: no task has this workflow.

    """
    kinds: dict[str, Counter[str]] = {}
    for row in await rows(_COUNTS, workflow_id, MOST_COUNTED):
        kinds.setdefault(row["name"], Counter())[row["state"]] = row["total"]
    if not kinds:
        raise WorkflowNotFound
    counts = sum(kinds.values(), Counter[str]())
    by_kind = [Node(name, of_kind, None) for name, of_kind in kinds.items()]
    large = Graph(counts, by_kind, [], is_large=True)
    if counts.total() > MOST_IN_GRAPH:
        return large
    async with transaction():
        # The planner takes the sets for small, of which it has no statistics.
        await rows(
            "SELECT set_config('enable_nestloop', 'off', TRUE), set_config('jit', 'off', TRUE)"
        )
        (found,) = await rows(_GRAPH, workflow_id, focus, MOST_IN_GRAPH, MOST_EDGES)
    if found["known"] >= MOST_EDGES:
        return large
    nodes = [_node(each) for each in orjson.loads(found["nodes"] or "[]")]
    edges = [NodeEdge(**each) for each in orjson.loads(found["edges"] or "[]")]
    return Graph(counts, nodes, edges, is_large=False)


def _node(row: Mapping[str, Any]) -> Node:
    counts = Counter(row["counts"])
    if counts.total() > 1:
        return Node(row["name"], counts, None, None, row["is_focus"])
    return Node(row["name"], counts, UUID(row["first_id"]), row["step"], row["is_focus"])
