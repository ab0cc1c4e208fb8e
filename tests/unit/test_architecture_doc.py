"""docs/architecture.md is true: modules exist, arrows are imports, no trip returns to a room."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "architecture.md").read_text("utf-8")
TRIPS = ("Image bytes", "An enrolment", "A cached read", "A task", "A setting")
SECTION = re.compile(r"^### (.+?)\n(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NODE = re.compile(r'(\w+)\["([\w/]+\.py)(?:<br>[^"]*)?"\]')
EDGE = re.compile(r"^\s*(\w+)(?:\[[^\]]*\])? (-->|-\.->)(?:\|[^|]*\|)? (\w+)", re.MULTILINE)
MODULE = re.compile(r"\b(?:\w+/)+\w+\.py\b")
DIAGRAMS = {
    f"{title} {number}": text
    for title, section in SECTION.findall(DOC)
    for number, text in enumerate(DIAGRAM.findall(section), start=1)
}


@cache
def imported(path: str) -> frozenset[str]:
    """Return the files that a module imports, also those whose names its packages pass on."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {file for name in names if (file := _file(name))}
    packages = {file for file in found if file.endswith("__init__.py") and file != path}
    return frozenset(found | {file for package in packages for file in imported(package)})


def _file(module: str) -> str:
    path = module.replace(".", "/")
    candidates = (f"{path}.py", f"{path}/__init__.py")
    return next((each for each in candidates if (ROOT / each).exists()), "")


def _room(path: str) -> str:
    return path.rpartition("/")[0]


def test_the_trips_are_there():
    titles = [title for title, text in SECTION.findall(DOC) if DIAGRAM.search(text)]
    assert [any(title.startswith(trip) for title in titles) for trip in TRIPS] == [True] * 5


@pytest.mark.parametrize("name", sorted(set(MODULE.findall(DOC))))
def test_a_module_that_is_named_exists(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("title", DIAGRAMS)
def test_a_solid_arrow_is_an_import(title):
    nodes = dict(NODE.findall(DIAGRAMS[title]))
    edges = EDGE.findall(DIAGRAMS[title])
    assert len(edges) > 1
    calls = [
        (nodes[one], nodes[other])
        for one, arrow, other in edges
        if arrow == "-->" and {one, other} <= nodes.keys()
    ]
    assert calls
    assert [(one, other) for one, other in calls if other not in imported(one)] == []


@pytest.mark.parametrize("title", DIAGRAMS)
def test_no_trip_returns_to_a_room_that_it_has_left(title):
    nodes = dict(NODE.findall(DIAGRAMS[title]))
    rooms: dict[str, set[str]] = {}
    for one, _, other in EDGE.findall(DIAGRAMS[title]):
        if {one, other} <= nodes.keys() and _room(nodes[one]) != _room(nodes[other]):
            rooms.setdefault(_room(nodes[other]), set()).add(_room(nodes[one]))
    assert list(TopologicalSorter(rooms).static_order())
