"""Our own rule: executed SQL is a literal, and values are parameters.

ruff's S608 finds strings that look like SQL; this rule finds expressions that are executed. A
statement composed of constants is marked by S608's `noqa` with a reason.
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
    """Return where a source file executes SQL that is composed at run time."""
    finder = _Finder(source.splitlines())
    finder.visit(ast.parse(source))
    return [f"{name}:{line}: composed SQL is executed" for line in sorted(finder.found)]


def check_folder(root: Path, folders: tuple[str, ...]) -> list[str]:
    """Return the findings in the Python files of some folders."""
    return [
        finding
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
        for finding in formatted_sql(path.read_text("utf-8"), str(path.relative_to(root)))
    ]


class _Finder(ast.NodeVisitor):
    """Finds the lines of such statements, also of those that are assigned to a name first."""

    def __init__(self, lines: list[str]) -> None:
        self.found: set[int] = set()
        self._lines = lines
        # The values assigned to names, in the module and in each enclosing function.
        self._scopes: list[dict[str, list[ast.expr]]] = []

    def visit(self, node: ast.AST) -> None:
        """Check a node and its children."""
        is_scope = isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef))
        if is_scope:
            self._scopes.append(_assigned(node))
        if isinstance(node, ast.Call) and _called_name(node.func) in EXECUTING:
            for value in (*node.args[:1], *(keyword.value for keyword in node.keywords)):
                if not self._has_exception(node.lineno, value):
                    self._check_expression(value, frozenset())
        self.generic_visit(node)
        if is_scope:
            self._scopes.pop()

    def _check_expression(self, node: ast.expr, known: frozenset[str]) -> None:
        """Record the line of a statement that is composed, also if that was done earlier."""
        match node:
            case ast.IfExp(body=body, orelse=other):
                self._check_expression(body, known)
                self._check_expression(other, known)
            case ast.Name(id=name) if name not in known:
                for value in self._values(name):
                    if not self._has_exception(value.lineno, value):
                        self._check_expression(value, known | {name})
            case _ if self._is_formatted(node):
                self.found.add(node.lineno)

    def _is_formatted(self, node: ast.expr) -> bool:
        match node:
            case ast.JoinedStr() | ast.BinOp(op=ast.Add() | ast.Mod()):
                return not self._is_constant(node, frozenset())
            case ast.Call(func=ast.Attribute(attr="format" | "format_map" | "join" | "replace")):
                return True
        return False

    def _is_constant(self, node: ast.expr, known: frozenset[str]) -> bool:
        match node:
            case ast.Constant():
                return True
            case ast.BinOp(left=left, right=right):
                parts = [left, right]
            case ast.JoinedStr(values=values):
                parts = [each.value for each in values if isinstance(each, ast.FormattedValue)]
            case ast.Name(id=name):
                values = self._values(name)
                if name in known or not values:
                    return name in known
                parts, known = values, known | {name}
            case _:
                return False
        return all(self._is_constant(part, known) for part in parts)

    def _values(self, name: str) -> list[ast.expr]:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), [])

    def _has_exception(self, first: int, statement: ast.expr) -> bool:
        lines = self._lines[first - 1 : statement.end_lineno]
        return any(EXCEPTION in line for line in lines)


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return the values of each name in a module or function, without those in nested functions."""
    found: dict[str, list[ast.expr]] = {}
    if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
        # A parameter hides a name of the module.
        found = {each.arg: [] for each in ast.walk(scope.args) if isinstance(each, ast.arg)}
    inside = list(ast.iter_child_nodes(scope))
    while inside:
        node = inside.pop()
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.setdefault(name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found.setdefault(name, []).append(value)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                found.setdefault(name, []).append(value)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                whole = ast.copy_location(ast.BinOp(target, op, value), node)
                found.setdefault(name, []).append(whole)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside += ast.iter_child_nodes(node)
    return found


def _called_name(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
