"""Where the nodes and lines of a workflow's graph are: layers from top to bottom."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from statistics import mean

from infra.queue.graphs import Graph, Node, NodeEdge

# The most nodes of a picture.
MAX_NODES = 40
WIDTH, HEIGHT = 224, 68
GAP, LAYER_GAP, MARGIN = 24, 44, 6
# The width that a line takes in a layer that it crosses.
LINE_WIDTH = 12
SWEEPS = 4
# What is in a layer: a node, or the part of a line that crosses it, as (number of the line, layer).
Part = int | tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A node and the left upper corner of its box."""

    node: Node
    x: float
    y: float
    # The boxes whose tasks its tasks wait for, and whether they run also if those fail.
    after: list[tuple[Node, bool]]


@dataclass(frozen=True)
class Line:
    """The path of a line, in SVG's words."""

    path: str
    runs_on_failure: bool


@dataclass(frozen=True)
class Drawing:
    """A picture of a graph; its boxes are in an order in which each is after its predecessors."""

    boxes: list[Box]
    lines: list[Line]
    width: float
    height: float
    left_out: int


def draw(graph: Graph) -> Drawing:
    """Return the picture of a graph, or of the `MAX_NODES` nodes around its focus or beginning."""
    nodes, edges = _around(graph)
    parents: dict[int, list[int]] = {place: [] for place in range(len(nodes))}
    for edge in edges:
        parents[edge.child].append(edge.parent)
    order = list(TopologicalSorter(parents).static_order())
    level: dict[int, int] = {}
    for place in order:
        level[place] = max((level[parent] + 1 for parent in parents[place]), default=0)
    layers, chains = _layers(level, edges)
    _untangle(layers, chains)
    spots = _spots(layers)
    places = sorted(order, key=lambda place: (level[place], layers[level[place]].index(place)))
    after: dict[int, list[tuple[Node, bool]]] = {place: [] for place in places}
    for edge in sorted(edges, key=lambda edge: places.index(edge.parent)):
        after[edge.child].append((nodes[edge.parent], edge.runs_on_failure))
    boxes = [Box(nodes[place], *spots[place], after[place]) for place in places]
    return Drawing(
        boxes,
        [Line(_path(chain, spots), runs) for chain, runs in chains],
        max(x + _width(part) for part, (x, _) in spots.items()) + MARGIN,
        len(layers) * (HEIGHT + LAYER_GAP) - LAYER_GAP + 2 * MARGIN,
        len(graph.nodes) - len(nodes),
    )


def _around(graph: Graph) -> tuple[list[Node], list[NodeEdge]]:
    """Return at most `MAX_NODES` nodes, the nearest to the focus or the roots, and their edges."""
    near: dict[int, list[int]] = {place: [] for place in range(len(graph.nodes))}
    for edge in graph.edges:
        near[edge.parent].append(edge.child)
        near[edge.child].append(edge.parent)
    children = {edge.child for edge in graph.edges}
    start = [place for place, node in enumerate(graph.nodes) if node.is_focus]
    found = dict.fromkeys((start or [place for place in near if place not in children])[:MAX_NODES])
    waiting = deque(found)
    while waiting:
        for place in near[waiting.popleft()]:
            if place not in found and len(found) < MAX_NODES:
                found[place] = None
                waiting.append(place)
    number = {place: number for number, place in enumerate(sorted(found))}
    edges = [
        NodeEdge(number[parent], number[child], runs)
        for parent, child, runs in graph.edges
        if parent in number and child in number
    ]
    return [graph.nodes[place] for place in number], edges


def _layers(
    level: dict[int, int], edges: Sequence[NodeEdge]
) -> tuple[list[list[Part]], list[tuple[list[Part], bool]]]:
    """Return the parts of each layer, and the parts that each line connects."""
    layers: list[list[Part]] = [[] for _ in range(max(level.values()) + 1)]
    for place, at in level.items():
        layers[at].append(place)
    chains: list[tuple[list[Part], bool]] = []
    for number, edge in enumerate(edges):
        crossed: list[Part] = []
        for at in range(level[edge.parent] + 1, level[edge.child]):
            layers[at].append((number, at))
            crossed.append((number, at))
        chains.append(([edge.parent, *crossed, edge.child], edge.runs_on_failure))
    return layers, chains


def _untangle(layers: list[list[Part]], chains: Iterable[tuple[list[Part], bool]]) -> None:
    """Order each layer by the neighbours in the layer before, and then in the layer after."""
    above: dict[Part, list[Part]] = {}
    below: dict[Part, list[Part]] = {}
    for chain, _ in chains:
        for upper, lower in pairwise(chain):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    for sweep in range(SWEEPS):
        near, ordered = (above, layers) if sweep % 2 == 0 else (below, layers[::-1])
        for before, layer in pairwise(ordered):
            position = {part: number / len(before) for number, part in enumerate(before)}
            own = {part: number / len(layer) for number, part in enumerate(layer)}
            means = {
                part: mean([position[each] for each in near.get(part, ())] or [own[part]])
                for part in layer
            }
            layer.sort(key=means.__getitem__)


def _spots(layers: Sequence[Sequence[Part]]) -> dict[Part, tuple[float, float]]:
    """Return the left upper corner of each part; layers are centred."""
    widths = [sum(map(_width, layer)) + GAP * (len(layer) - 1) for layer in layers]
    spots: dict[Part, tuple[float, float]] = {}
    for number, layer in enumerate(layers):
        x = MARGIN + (max(widths) - widths[number]) / 2
        for part in layer:
            spots[part] = (x, MARGIN + number * (HEIGHT + LAYER_GAP))
            x += _width(part) + GAP
    return spots


def _path(chain: Sequence[Part], spots: dict[Part, tuple[float, float]]) -> str:
    """Return a line from the bottom of the first part through the others to the top of the last."""
    (x, y), *rest = ((spots[part][0] + _width(part) / 2, spots[part][1]) for part in chain)
    words = [f"M{x:g} {y + HEIGHT:g}"]
    for number, (next_x, next_y) in enumerate(rest, 1):
        middle = next_y - LAYER_GAP / 2
        words.append(f"C{x:g} {middle:g} {next_x:g} {middle:g} {next_x:g} {next_y:g}")
        if number < len(rest):
            words.append(f"V{next_y + HEIGHT:g}")
        x = next_x
    return " ".join(words)


def _width(part: Part) -> int:
    return WIDTH if isinstance(part, int) else LINE_WIDTH
