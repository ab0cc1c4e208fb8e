"""The queue's interface to a kind of task, and the kinds that this process knows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from infra.queue.arguments import Arguments
from infra.queue.timing import Timing


class TaskKind(Protocol):
    """The registered properties of a kind of task (`tasks.registry.Registration`)."""

    @property
    def name(self) -> str:
        """The name in the rows of its tasks."""

    @property
    def queue(self) -> str:
        """The broker's queue."""

    @property
    def max_attempts(self) -> int:
        """The most attempts of a task."""

    @property
    def timing(self) -> Timing | None:
        """When it is enqueued, if it has a schedule."""

    @property
    def backoff(self) -> Sequence[float]:
        """The seconds from each failed attempt to the next; empty: the default back-off."""

    @property
    def concurrency_per_key(self) -> int:
        """The most tasks with the same concurrency key that run at a time."""

    @property
    def keep_for(self) -> timedelta | None:
        """How long its tasks are kept that succeeded or were cancelled; None: as all others."""

    @property
    def priority(self) -> int:
        """The number that is added to the priority of each row."""

    @property
    def version(self) -> int:
        """The newest version of its arguments that this code knows, from 1."""

    @property
    def arguments(self) -> Arguments:
        """The arguments that its function takes."""


# By name; `tasks.registry` fills it. Of other names a process enqueues arguments unchecked.
KINDS: dict[str, TaskKind] = {}
