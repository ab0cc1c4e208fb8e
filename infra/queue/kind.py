"""A kind of task, as the queue needs to know it."""

from typing import Protocol


class TaskKind(Protocol):
    """What is registered of a kind of task (`tasks.registry.Registration`)."""

    @property
    def name(self) -> str:
        """The name in its rows."""

    @property
    def queue(self) -> str:
        """The broker's queue."""

    @property
    def max_attempts(self) -> int:
        """How often a task is attempted."""

    @property
    def every(self) -> int | None:
        """The length of its slots in seconds, if it is periodic."""

    @property
    def priority(self) -> int:
        """What is added to the priority of each row."""
