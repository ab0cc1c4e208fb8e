"""Handlers parse, call one service and respond: none has more than ten lines."""

import ast
from pathlib import Path

API = Path(__file__).parents[2] / "api"
MOST_LINES = 10


def _handlers():
    for path in sorted(API.rglob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.AsyncFunctionDef) and any(map(_declares, node.decorator_list)):
                yield f"{path.stem}.{node.name}", _lines_of(node, source.splitlines())


def _declares(decorator) -> bool:
    """Return whether this is `@operation(...)`, `@page(...)` or a blueprint's `.get(...)`."""
    if not isinstance(decorator, ast.Call):
        return False
    name = getattr(decorator.func, "id", None) or getattr(decorator.func, "attr", None)
    return name in {"operation", "page", "get", "head", "post", "put", "patch", "delete"}


def _lines_of(function, source) -> int:
    """Return how many lines of code its body has, without docstring and comments."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    lines = source[body[0].lineno - 1 : body[-1].end_lineno]
    return sum(1 for line in lines if line.strip() and not line.lstrip().startswith("#"))


def test_no_handler_has_more_than_ten_lines():
    lines = dict(_handlers())
    assert len(lines) > 30
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
