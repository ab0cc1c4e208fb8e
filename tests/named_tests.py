"""The tests that documents name, and whether they exist."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`((?:tests|course_enrollment)/\S+\.py)::(\w+)`")


@cache
def found_in(path: Path) -> frozenset[str]:
    """Return the names of a file's tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = (node.name for node in ast.walk(tree) if isinstance(node, functions))
    return frozenset(name for name in names if name.startswith("test_"))


def missing_tests(document: str) -> list[str]:
    """Return the tests that a document names and that do not exist."""
    # Otherwise a name in another notation would not be checked.
    assert document.count("::test_") == len(NAMED.findall(document))
    return [
        f"{file}::{name}"
        for file, name in sorted(set(NAMED.findall(document)))
        if not (ROOT / file).is_file() or name not in found_in(ROOT / file)
    ]
