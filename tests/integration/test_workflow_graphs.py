"""A workflow as operators see it: tasks of the same kind and place are one node."""

import pytest
from uuid_utils.compat import uuid7

from infra.db.engine import database
from infra.db.sql import rows
from infra.queue import graphs
from infra.queue.enqueue import enqueue
from infra.queue.errors import WorkflowNotFound
from infra.queue.graphs import graph_of
from infra.queue.successors import OnFailure
from infra.queue.workflows import Step, enqueue_batch, enqueue_workflow
from models import Task

pytestmark = pytest.mark.usefixtures("_tables")


@pytest.fixture
async def _tables(new_database):
    async with database(await new_database(), pool_size=2):
        yield


def _by_name(graph):
    return {node.name: node for node in graph.nodes}


def _edges(graph):
    return {
        (graph.nodes[edge.parent].name, graph.nodes[edge.child].name, edge.runs_on_failure)
        for edge in graph.edges
    }


async def _diamond():
    return await enqueue_workflow(
        {
            "top": Step("test.top", {}),
            "left": Step("test.left", {}, after=("top",)),
            "right": Step("test.right", {}, after=("top",), on_failure=OnFailure.RUN),
            "end": Step("test.end", {}, after=("left", "right")),
        }
    )


async def test_nodes_have_states_steps_and_edges():
    flow = await _diamond()
    await Task.filter(id=flow.tasks["top"]).update(state="running")
    graph = await graph_of(flow.id, flow.tasks["left"])
    nodes = _by_name(graph)
    assert {name: node.state for name, node in nodes.items()} == {
        "test.top": "running",
        **dict.fromkeys(("test.left", "test.right", "test.end"), "waiting"),
    }
    assert {name: node.step for name, node in nodes.items()} == {
        **{f"test.{step}": step for step in ("top", "left", "right")},
        "test.end": None,
    }
    assert {name: node.task_id for name, node in nodes.items()} == {
        f"test.{step}": task_id for step, task_id in flow.tasks.items()
    }
    assert [node.name for node in graph.nodes if node.is_focus] == ["test.left"]
    assert _edges(graph) == {
        ("test.top", "test.left", False),
        ("test.top", "test.right", True),
        ("test.left", "test.end", False),
        ("test.right", "test.end", False),
    }
    assert graph.counts == {"running": 1, "waiting": 3}
    assert graph.is_open


async def test_a_batch_is_one_node_with_counts():
    batch = await enqueue_batch("test.each", [{"n": n} for n in range(50)], "test.all", {})
    failed = [batch.tasks[str(number)] for number in range(7)]
    await rows("UPDATE tasks SET state = 'failed', finished_at = now() WHERE id = ANY($1)", failed)
    graph = await graph_of(batch.id)
    nodes = _by_name(graph)
    assert nodes["test.each"].counts == {"failed": 7, "queued": 43}
    assert (nodes["test.each"].task_id, nodes["test.each"].state) == (None, "failed")
    assert nodes["test.all"].counts == {"waiting": 1}
    assert _edges(graph) == {("test.each", "test.all", True)}
    ended = "UPDATE tasks SET state = 'succeeded', finished_at = now(), waits_for = 0"
    await rows(f"{ended} WHERE state = 'queued'")
    assert not (await graph_of(batch.id)).is_open


async def test_tasks_of_a_kind_in_different_places_are_different_nodes():
    flow = await enqueue_workflow(
        {
            "a": Step("test.same", {}),
            "b": Step("test.same", {}, after=("a",)),
            "c": Step("test.same", {}, after=("b",)),
            "d": Step("test.same", {}, after=("b",)),
        }
    )
    graph = await graph_of(flow.id)
    assert sorted(node.counts.total() for node in graph.nodes) == [1, 1, 2]
    assert len(graph.edges) == 2


async def test_two_names_for_a_predecessor_are_one_link():
    parent = await enqueue("test.parent", {})
    child = await enqueue("test.child", {}, after={"one": parent, "other": parent})
    await enqueue("test.lone", {}, after={"root": parent})
    workflow_id = (await Task.get(id=child)).workflow_id
    graph = await graph_of(workflow_id)
    assert _edges(graph) == {
        ("test.parent", "test.child", False),
        ("test.parent", "test.lone", False),
    }


async def test_a_predecessor_that_is_gone_is_no_node():
    flow = await _diamond()
    await Task.filter(id=flow.tasks["top"]).delete()
    assert _edges(await graph_of(flow.id)) == {
        ("test.left", "test.end", False),
        ("test.right", "test.end", False),
    }


async def test_a_large_workflow_is_counted_by_kind(monkeypatch):
    batch = await enqueue_batch("test.each", [{} for _ in range(9)], "test.all", {})
    monkeypatch.setattr(graphs, "MOST_IN_GRAPH", 9)
    graph = await graph_of(batch.id)
    assert (graph.is_large, graph.edges) == (True, [])
    assert {node.name: dict(node.counts) for node in graph.nodes} == {
        "test.all": {"waiting": 1},
        "test.each": {"queued": 9},
    }
    monkeypatch.setattr(graphs, "MOST_IN_GRAPH", 10)
    assert not (await graph_of(batch.id)).is_large
    monkeypatch.setattr(graphs, "MOST_EDGES", 9)
    assert (await graph_of(batch.id)).is_large
    monkeypatch.setattr(graphs, "MOST_COUNTED", 5)
    monkeypatch.setattr(graphs, "MOST_IN_GRAPH", 4)
    assert (await graph_of(batch.id)).counts.total() == 5


async def test_an_unknown_workflow_is_refused():
    with pytest.raises(WorkflowNotFound):
        await graph_of(uuid7())
