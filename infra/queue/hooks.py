"""The domain's additions to an operation: its audit record, and changes for readers.

A process registers hooks before its first operation; an operation without hooks fails.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

from infra.errors import SelfDescribed
from infra.queue.table import TaskRow


class Operation(StrEnum):
    """An operator's action on a task."""

    RETRY = "retry"
    CANCEL = "cancel"
    DROP = "drop"


class ScheduleOperation(StrEnum):
    """An operator's action on a schedule."""

    PAUSE = "pause"
    RESUME = "resume"
    SET = "set"


class Hooks(Protocol):
    """The domain's part of an operation."""

    async def on_operation(self, operation: Operation, task: TaskRow) -> None:
        """Write in the transaction of an operation; `task` is the row after the operation."""

    async def on_schedule_operation(
        self, operation: ScheduleOperation, name: str, details: dict[str, str] | None
    ) -> None:
        """Write in the transaction of an operation; `details` has a change's before and after."""


class NoHooks(SelfDescribed, RuntimeError):
    """An operation needs hooks, and this process has registered none"""


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
    await _current().on_operation(operation, task)


async def run_on_schedule(
    operation: ScheduleOperation, name: str, details: dict[str, str] | None
) -> None:
    """Run the hooks of an operation on a schedule, in the running transaction.

    Raises:
        NoHooks: no hooks are registered.

    """
    await _current().on_schedule_operation(operation, name, details)


def _current() -> Hooks:
    if not _registered:
        raise NoHooks
    return _registered[-1]
