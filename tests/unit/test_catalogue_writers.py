"""Only the write seam changes the catalogue; checked in the source of all modules."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEAM = Path("services/catalogue")
PRODUCTION = ("api", "cli", "deploy", "infra", "services", "tasks", "worker")
SHOWN = {"Course", "ImageVariant"}
TABLES = {"courses", "image_variants"}
WRITES = {"create", "bulk_create", "bulk_update", "update", "delete", "save", "get_or_create"}
SQL_WRITE = re.compile(
    r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE|COPY)\s+(ONLY\s+)?(courses|image_variants)\b",
    re.IGNORECASE,
)


def _modules(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def _imports_rows(tree) -> bool:
    return any(
        alias.name in SHOWN
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("models")
        for alias in node.names
    )


def _texts(tree):
    return [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]


def _writes(node) -> bool:
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in WRITES
        for call in ast.walk(node)
    )


def _takes_change(function) -> bool:
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return any(
        isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Change"
        for argument in arguments
    )


def test_no_other_module_imports_the_row_models():
    having = {path for path, tree in _modules(*PRODUCTION) if _imports_rows(tree)}
    assert having
    assert {path for path in having if SEAM not in path.parents} == set()


def test_no_other_module_writes_the_rows_by_sql():
    writing = {
        path
        for path, tree in _modules(*PRODUCTION)
        if any(SQL_WRITE.search(text) for text in _texts(tree) if isinstance(text, str))
        or any(_copies_rows(node) for node in ast.walk(tree))
    }
    assert {path for path in writing if SEAM not in path.parents} == set()
    assert writing


def _copies_rows(node) -> bool:
    """Return whether this is a call that copies records into a table of the catalogue."""
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "copy_records_to_table"
        and any(getattr(argument, "value", None) in TABLES for argument in node.args)
    )


def test_each_function_that_writes_the_rows_takes_a_change():
    writers = [
        (path, node.name, _takes_change(node))
        for path, tree in _modules(SEAM)
        if _imports_rows(tree)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _writes(node)
    ]
    assert len(writers) > 3
    assert [each for each in writers if not each[2]] == []
