"""What other projects import: `queue`, and `testing`, the contracts of what they plug in.

In the wheel all our packages are inside this one, so that no name of theirs is taken. In a checkout
they are beside it, and have the same names here: `course_enrollment.models` is `models`.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


class _Beside(MetaPathFinder, Loader):
    """Finds a package that is beside this one: one module under both names."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        outer, _dot, name = fullname.partition(".")
        top = _CHECKOUT / name.partition(".")[0]
        is_beside = outer == __name__ and (top.is_dir() or top.with_suffix(".py").is_file())
        return ModuleSpec(fullname, self) if is_beside else None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(module.__name__.partition(".")[2])


_CHECKOUT = Path(__file__).parents[1]
if not (Path(__file__).parent / "infra").is_dir():
    # The first finder: Python's would load a module inside such a package a second time.
    sys.meta_path.insert(0, _Beside())
