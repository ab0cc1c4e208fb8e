"""Builds the wheel, whose only top-level name is `course_enrollment`; a step of setuptools.

In a checkout our packages are at the top, as `models` and `infra`. The wheel has them inside one,
because another project has a `models` and an `infra` of its own. So the imports of ours that the
build copies get another name, and nothing else changes. setuptools reads this module from its file,
so it can import none of ours.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

PACKAGE = "course_enrollment"
# Gives a module's name for the place where the code is (infra/identity.py).
QUALIFIED = "qualified"


class BuildPy(build_py):  # type: ignore[misc]  # setuptools ships no types
    """Copies the packages of a checkout into the one package of the wheel."""

    def run(self) -> None:
        """Copy and relocate; an editable installation uses the checkout as it is."""
        if not self.editable_mode:
            # An older build may have left modules that are gone.
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            relocate(Path(self.build_lib))


class _Edit(NamedTuple):
    line: int
    column: int


def relocate(folder: Path) -> None:
    """Move the packages and modules of a folder into PACKAGE, and rename their imports.

    Raises:
        SetupError: a module has the name of another one where it can't be renamed.

    """
    names = frozenset(path.stem for path in folder.iterdir()) - {PACKAGE}
    modules = frozenset(_name(path.relative_to(folder)) for path in folder.rglob("*.py"))
    faults = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text("utf-8")
        tree = ast.parse(text)
        faults += [f"{path.relative_to(folder)}:{fault}" for fault in _faults(tree, names, modules)]
        path.write_text(_renamed(text, tree, names), "utf-8")
    if faults:
        raise SetupError("the wheel can't rename these: " + "; ".join(faults))
    for path in list(folder.iterdir()):
        if path.name != PACKAGE:
            path.rename(folder / PACKAGE / path.name)


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _renamed(text: str, tree: ast.Module, names: frozenset[str]) -> str:
    lines = text.splitlines(keepends=True)
    for edit in sorted(_edits(tree, names), reverse=True):
        # The columns of ast are bytes.
        line = lines[edit.line - 1].encode()
        lines[edit.line - 1] = b"".join(
            (line[: edit.column], f"{PACKAGE}.".encode(), line[edit.column :])
        ).decode()
    return "".join(lines)


def _edits(tree: ast.Module, names: frozenset[str]) -> Iterator[_Edit]:
    """Return where an import names one of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and _top(node.module) in names:
            yield _Edit(node.lineno, node.col_offset + len("from "))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _top(alias.name) in names:
                    yield _Edit(alias.lineno, alias.col_offset)


def _faults(tree: ast.Module, names: frozenset[str], modules: frozenset[str]) -> Iterator[str]:
    """Return what names one of our modules, and is no import."""
    qualified = set()
    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            qualified |= set(node.args) if node.func.id == QUALIFIED else set()
        if isinstance(node, ast.Import):
            bound |= {each.name for each in node.names if each.asname is None} & modules
    tops = {_top(each) for each in bound if _top(each) in names}
    for node in ast.walk(tree):
        # `import api.app` binds another name in the wheel.
        if isinstance(node, ast.Name) and node.id in tops:
            yield f"{node.lineno}: {node.id} of an import without `from`"
        if not isinstance(node, ast.Constant) or node in qualified:
            continue
        if isinstance(node.value, str) and _is_module(node.value, names, modules):
            yield f"{node.lineno}: {node.value!r} needs {QUALIFIED}()"


def _is_module(text: str, names: frozenset[str], modules: frozenset[str]) -> bool:
    # A name without a dot is a word of the language, too.
    return bool(re.fullmatch(r"\w+(\.\w+)+", text)) and _top(text) in names and text in modules


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]
