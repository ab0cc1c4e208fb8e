"""The spans of a trace as a tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from deploy.observe.traces.store import Span


@dataclass
class Node:
    """A span and those below it, in the order of their beginnings.

    `is_orphan`: its parent did not come. Its process was killed, or the parent is a browser's.
    """

    span: Span
    below: list["Node"] = field(default_factory=list)
    is_orphan: bool = False


def tree(spans: list[Span]) -> list[Node]:
    """Return the tops of a trace."""
    nodes = {span.span_id: Node(span) for span in sorted(spans, key=lambda span: span.start)}
    tops = []
    for node in nodes.values():
        parent = nodes.get(node.span.parent_id)
        if parent is not None:
            parent.below.append(node)
            continue
        node.is_orphan = bool(node.span.parent_id)
        tops.append(node)
    return tops


def walk(nodes: list[Node], depth: int = 0) -> Iterator[tuple[int, Node]]:
    """Yield each node with its depth, from the top down."""
    for node in nodes:
        yield depth, node
        yield from walk(node.below, depth + 1)
