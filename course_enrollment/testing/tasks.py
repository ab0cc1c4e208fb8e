"""The contract of packages of tasks."""

import importlib

import pytest

from infra.queue.errors import InvalidArguments
from tasks.registry import REGISTRY, Registration


class TasksContract:
    """Every package of tasks passes these; the fixture `module` returns the name of its module."""

    def test_its_import_declares_tasks_with_names_of_its_own(self, module: str) -> None:
        mine = _kinds_of(module)
        assert mine
        for kind in mine:
            assert "." in kind.name, f"{kind.name} needs a prefix, as of {module}.{kind.name}"

    def test_what_it_takes_is_checked_where_it_is_enqueued(self, module: str) -> None:
        for kind in _kinds_of(module):
            if kind.arguments.required:
                with pytest.raises(InvalidArguments):
                    kind.arguments.dump({})

    def test_it_can_be_imported_again(self, module: str) -> None:
        before = [kind.name for kind in _kinds_of(module)]
        importlib.reload(importlib.import_module(module))
        assert [kind.name for kind in _kinds_of(module)] == before


def _kinds_of(module: str) -> list[Registration]:
    importlib.import_module(module)
    return [kind for kind in REGISTRY.values() if kind.body.__module__ == module]
