"""The queue's interface to a kind of task."""

from typing import Protocol


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
    def every(self) -> int | None:
        """The length of its slots in seconds, if it is periodic."""

    @property
    def priority(self) -> int:
        """The number that is added to the priority of each row."""
