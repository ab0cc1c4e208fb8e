"""The workers of one machine and their queues: `images:2 *:1`."""

import re
from dataclasses import dataclass

ALL_OTHERS = "*"
MAX_PROCESSES = 64
_GROUP = re.compile(r"(\*|[\w.-]+(?:,[\w.-]+)*)(?::(\d{1,4}))?", re.ASCII)


@dataclass(frozen=True)
class WorkerGroup:
    """A worker: the queues that it serves or excludes, and its number of processes.

    Without a number it has WORKER_CONCURRENCY processes.
    """

    queues: tuple[str, ...]
    others: tuple[str, ...]
    processes: int | None

    @property
    def name(self) -> str:
        """The name of the process and its log."""
        return "-".join(("worker", *self.queues))


def parse(text: str) -> tuple[WorkerGroup, ...]:
    """Return the groups of a text; `*` means all queues that no other group names.

    Raises:
        ValueError: the form is wrong, or a queue occurs twice.

    """
    matches = [_GROUP.fullmatch(group) for group in text.split()]
    if not matches or None in matches:
        raise ValueError("must be queues, a colon and a number of processes, as in 'images:2 *:1'")
    groups = [(each[1].split(","), each[2]) for each in matches if each]
    names = [queue for queues, _ in groups for queue in queues]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"must name each queue once, and has {', '.join(twice)} twice")
    if any(number and not 1 <= int(number) <= MAX_PROCESSES for _, number in groups):
        raise ValueError(f"must have 1 to {MAX_PROCESSES} processes in each group")
    named = tuple(name for name in names if name != ALL_OTHERS)
    return tuple(
        WorkerGroup(
            () if queues == [ALL_OTHERS] else tuple(queues),
            named if queues == [ALL_OTHERS] else (),
            int(number) if number else None,
        )
        for queues, number in groups
    )
