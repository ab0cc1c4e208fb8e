"""Our own rule: SQL that reaches the database is written out, values go beside it.

ruff's S608 knows what looks like SQL; this knows what is executed, whatever it looks like. A
statement put together of constants says so by S608's `noqa`, which ruff makes us give a reason for.
"""

import ast
from pathlib import Path

EXECUTING = frozenset(
    {
        *("rows", "execute", "executemany", "execute_query", "execute_query_dict"),
        *("execute_script", "execute_insert", "execute_many", "fetch", "fetchrow", "fetchval"),
        *("raw", "RawSQL"),
    }
)
EXCEPTION = "noqa: S608"


def formatted_sql(source: str, name: str) -> list[str]:
    """Return where a source file hands SQL made of parts to the database."""
    lines = source.splitlines()
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or _called(node.func) not in EXECUTING or not node.args:
            continue
        statement = node.args[0]
        excused = any(EXCEPTION in line for line in lines[node.lineno - 1 : statement.end_lineno])
        if _is_formatted(statement) and not excused:
            found.append(f"{name}:{statement.lineno}: SQL made of parts is executed")
    return found


def check_folder(root: Path, folders: tuple[str, ...]) -> list[str]:
    """Return where the Python files of some folders do."""
    return [
        finding
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
        for finding in formatted_sql(path.read_text("utf-8"), str(path.relative_to(root)))
    ]


def _called(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _is_formatted(node: ast.expr) -> bool:
    match node:
        case ast.JoinedStr(values=values):
            return any(isinstance(part, ast.FormattedValue) for part in values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return not _is_constant(node)
        case ast.Call(func=ast.Attribute(attr="format" | "format_map" | "join" | "replace")):
            return True
    return False


def _is_constant(node: ast.expr) -> bool:
    return all(isinstance(part, (ast.BinOp, ast.Constant, ast.operator)) for part in ast.walk(node))
