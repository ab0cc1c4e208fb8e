"""The domain's additions to an operation on a task: its audit record, and changes for readers.

A process registers hooks before it operates on tasks; an operation without hooks fails.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

from infra.queue.table import TaskRow


class Operation(StrEnum):
    """An operator's action on a task."""

    RETRY = "retry"
    CANCEL = "cancel"
    DROP = "drop"


class Hooks(Protocol):
    """The domain's part of an operation."""

    async def on_operation(self, operation: Operation, task: TaskRow) -> None:
        """Write in the transaction of an operation; `task` is the row after the operation."""


class NoHooks(RuntimeError):
    """An operation on a task needs hooks, and this process has registered none"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


_registered: list[Hooks] = []


@contextmanager
def registered(hooks: Hooks) -> Iterator[None]:
    """Register the hooks of this process while the block runs."""
    _registered.append(hooks)
    try:
        yield
    finally:
        _registered.remove(hooks)


async def run(operation: Operation, task: TaskRow) -> None:
    """Run the hooks, in the running transaction.

    Raises:
        NoHooks: no hooks are registered.

    """
    if not _registered:
        raise NoHooks
    await _registered[-1].on_operation(operation, task)
