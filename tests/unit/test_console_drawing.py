"""The picture of a workflow: layers in the order of the waits, no overlap, bounded."""

import re
from collections import Counter
from itertools import combinations
from uuid import UUID

from api.console.drawing import GAP, HEIGHT, MARGIN, MAX_NODES, WIDTH, draw
from infra.queue.graphs import Graph, Node, NodeEdge


def graph(count: int, *edges: tuple[int, int], focus: int | None = None) -> Graph:
    nodes = [
        Node(f"kind.{place}", Counter(succeeded=1), UUID(int=place + 1), is_focus=place == focus)
        for place in range(count)
    ]
    return Graph(
        Counter(succeeded=count),
        nodes,
        [NodeEdge(*each, runs_on_failure=False) for each in edges],
        is_large=False,
    )


def spots(drawing):
    return {int(box.node.name.removeprefix("kind.")): (box.x, box.y) for box in drawing.boxes}


def test_each_box_is_below_those_that_it_waits_for_and_overlaps_none():
    edges = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 4), (3, 5), (0, 5)]
    drawing = draw(graph(6, *edges))
    at = spots(drawing)
    assert all(at[parent][1] + HEIGHT < at[child][1] for parent, child in edges)
    for one, other in combinations(at.values(), 2):
        assert abs(one[0] - other[0]) >= WIDTH or abs(one[1] - other[1]) >= HEIGHT
    assert all(x > 0 and x + WIDTH < drawing.width for x, _ in at.values())
    assert all(y > 0 and y + HEIGHT < drawing.height for _, y in at.values())
    order = [box.node.name for box in drawing.boxes]
    assert all(
        order.index(f"kind.{parent}") < order.index(f"kind.{child}") for parent, child in edges
    )
    last = next(box for box in drawing.boxes if box.node.name == "kind.5")
    assert {node.name for node, _ in last.after} == {"kind.3", "kind.0"}


def test_a_line_joins_its_boxes_and_crosses_no_other():
    edges = [(0, 1), (1, 2), (2, 3), (0, 3)]
    drawing = draw(graph(4, *edges))
    at = spots(drawing)
    for line, (parent, child) in zip(drawing.lines, edges, strict=True):
        numbers = [float(each) for each in re.findall(r"[\d.]+", line.path)]
        assert numbers[:2] == [at[parent][0] + WIDTH / 2, at[parent][1] + HEIGHT]
        assert numbers[-2:] == [at[child][0] + WIDTH / 2, at[child][1]]
    # The long one passes two layers beside their boxes.
    for x, y in re.findall(r"C[\d. ]+ ([\d.]+) ([\d.]+) V", drawing.lines[3].path):
        [beside] = [left for left, top in at.values() if top == float(y)]
        assert not beside <= float(x) <= beside + WIDTH
    assert drawing.lines[3].path.count("V") == 2


def test_lines_that_need_not_cross_do_not():
    # As listed, the children are in the opposite order of their parents.
    drawing = draw(graph(7, (0, 1), (0, 2), (0, 3), (1, 6), (2, 5), (3, 4)))
    at = spots(drawing)
    middle = sorted((1, 2, 3), key=lambda place: at[place][0])
    below = sorted((4, 5, 6), key=lambda place: at[place][0])
    assert [7 - place for place in middle] == below


def test_a_line_that_passes_a_layer_is_on_the_side_of_its_boxes():
    drawing = draw(graph(4, (0, 3), (1, 2), (2, 3)))
    at = spots(drawing)
    assert at[0][0] < at[1][0]
    [beside] = re.findall(r"([\d.]+) [\d.]+ V", drawing.lines[0].path)
    assert float(beside) < at[2][0]


def test_predecessors_of_one_task_are_side_by_side():
    at = spots(draw(graph(5, (0, 3), (2, 3), (1, 4))))
    assert sorted((0, 1, 2), key=lambda place: at[place][0])[1] != 1


def test_a_drawing_is_as_large_as_its_boxes():
    drawing = draw(graph(3, (0, 1), (0, 2)))
    assert drawing.width == 2 * MARGIN + 2 * WIDTH + GAP
    assert min(box.y for box in drawing.boxes) == MARGIN


def test_a_line_says_whether_its_task_runs_also_after_a_failure():
    both = Graph(
        Counter(succeeded=3),
        graph(3).nodes,
        [NodeEdge(0, 2, runs_on_failure=True), NodeEdge(1, 2, runs_on_failure=False)],
        is_large=False,
    )
    drawing = draw(both)
    assert [line.runs_on_failure for line in drawing.lines] == [True, False]
    assert [after for _, after in drawing.boxes[-1].after] == [True, False]


def test_of_many_nodes_those_around_the_focus_are_shown():
    count = 4 * MAX_NODES
    chain = [(place, place + 1) for place in range(count - 1)]
    whole = draw(graph(count, *chain))
    assert set(spots(whole)) == set(range(MAX_NODES))
    assert whole.left_out == 3 * MAX_NODES
    middle = 2 * MAX_NODES
    around = draw(graph(count, *chain, focus=middle))
    shown = sorted(spots(around))
    assert len(shown) == MAX_NODES
    assert shown[0] < middle < shown[-1]
    assert len(around.lines) == MAX_NODES - 1


def test_of_many_roots_some_are_shown():
    drawing = draw(graph(2 * MAX_NODES))
    assert (len(drawing.boxes), drawing.left_out) == (MAX_NODES, MAX_NODES)
