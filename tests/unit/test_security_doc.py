"""docs/security.md is true: each item has a defence, each defence has a test that exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOC = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ITEM = re.compile(r"^### (\S+) ([^\n]+)\n(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"`((?:tests|course_enrollment)/\S+\.py)::(\w+)`")
ITEMS = {number: text for number, _, text in ITEM.findall(DOC)}


@cache
def found_in(path: Path) -> frozenset[str]:
    """Return the names of a file's tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = (node.name for node in ast.walk(tree) if isinstance(node, functions))
    return frozenset(name for name in names if name.startswith("test_"))


def test_the_top_ten_are_complete() -> None:
    found = [number for number in ITEMS if number.startswith("API")]
    assert found == [f"API{number}:2023" for number in range(1, 11)]


def test_each_item_is_there_once_and_in_order() -> None:
    numbers = [
        tuple(int(part) for part in number[1:].split("."))
        for number, _, _ in ITEM.findall(DOC)
        if number.startswith("V")
    ]
    assert len(numbers) > 10
    assert all(len(number) == 3 for number in numbers)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("number", ITEMS)
def test_each_item_has_defences_and_each_defence_has_a_test(number: str) -> None:
    lines = [line for line in ITEMS[number].splitlines() if line]
    assert lines
    for line in lines:
        assert line.startswith("- "), line
        assert NAMED.search(line), line


def test_each_named_test_exists() -> None:
    named = set(NAMED.findall(DOC))
    assert len(named) > 20
    missing = [
        f"{file}::{name}"
        for file, name in sorted(named)
        if not (ROOT / file).is_file() or name not in found_in(ROOT / file)
    ]
    assert not missing
    # Otherwise a name in another notation would not be checked.
    assert DOC.count("::test_") == len(NAMED.findall(DOC))


def test_each_security_test_is_named() -> None:
    named = set(NAMED.findall(DOC))
    there = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / "tests/security").glob("test_*.py")
        for name in found_in(path)
    }
    assert there
    assert not there - named
