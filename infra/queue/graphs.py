"""A workflow as a graph for operators: tasks of the same kind and place are one node."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import orjson

from infra.db.sql import rows
from infra.queue.errors import WorkflowNotFound

# The states of a workflow's tasks, those first that need an operator. `waiting` is a queued task
# that waits for others.
STATES = ("failed", "cancelled", "running", "queued", "waiting", "succeeded")
# How many tasks are counted, and how many a graph is made of.
MOST_COUNTED = 100_000
MOST_IN_GRAPH = 10_000

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
    ), edge AS MATERIALIZED (
        SELECT parent_id, child_id, min(task_edges.name) AS name,
               bool_and(runs_on_failure) AS runs_on_failure
        FROM task_edges WHERE child_id IN (SELECT id FROM member) GROUP BY parent_id, child_id
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
    ), nodes AS (
        SELECT number, min(name) AS name, min(id::text) AS first_id, min(step) AS step,
               coalesce(bool_or(id = $2::uuid), FALSE) AS is_focus
        FROM placed GROUP BY number
    ), counts AS (
        SELECT number, state, count(*) AS total FROM placed GROUP BY number, state
    ), edges AS (
        SELECT parent.number AS parent, child.number AS child,
               bool_and(runs_on_failure) AS runs_on_failure
        FROM edge JOIN placed AS parent ON parent.id = parent_id
             JOIN placed AS child ON child.id = child_id
        GROUP BY 1, 2
    )
    SELECT (SELECT json_agg(json_build_object(
                'name', name, 'first_id', first_id, 'step', step, 'is_focus', is_focus,
                'counts', (SELECT json_object_agg(state, counts.total) FROM counts
                           WHERE counts.number = nodes.number)
            ) ORDER BY number) FROM nodes) AS nodes,
           (SELECT json_agg(edges ORDER BY parent, child) FROM edges) AS edges
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

    Of a workflow with more than `MOST_IN_GRAPH` tasks the kinds are counted, and of one with more
    than `MOST_COUNTED` so many of its tasks.

    Raises:
        WorkflowNotFound: no task has this workflow.

    """
    kinds: dict[str, Counter[str]] = {}
    for row in await rows(_COUNTS, workflow_id, MOST_COUNTED):
        kinds.setdefault(row["name"], Counter())[row["state"]] = row["total"]
    if not kinds:
        raise WorkflowNotFound
    counts = sum(kinds.values(), Counter[str]())
    if counts.total() > MOST_IN_GRAPH:
        nodes = [Node(name, of_kind, None) for name, of_kind in kinds.items()]
        return Graph(counts, nodes, [], is_large=True)
    (found,) = await rows(_GRAPH, workflow_id, focus, MOST_IN_GRAPH)
    nodes = [_node(**each) for each in orjson.loads(found["nodes"] or "[]")]
    edges = [NodeEdge(**each) for each in orjson.loads(found["edges"] or "[]")]
    return Graph(counts, nodes, edges, is_large=False)


def _node(
    *, name: str, first_id: str, step: str | None, is_focus: bool, counts: dict[str, int]
) -> Node:
    by_state = Counter(counts)
    if by_state.total() > 1:
        return Node(name, by_state, None, None, is_focus)
    return Node(name, by_state, UUID(first_id), step, is_focus)
