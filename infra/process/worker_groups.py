"""Which workers one machine runs, and for which queues: `images:2 *:1`."""

import re
from dataclasses import dataclass

REST = "*"
MOST_PROCESSES = 64
_GROUP = re.compile(r"(\*|[\w.-]+(?:,[\w.-]+)*)(?::(\d{1,4}))?", re.ASCII)


@dataclass(frozen=True)
class WorkerGroup:
    """A worker: the queues it serves, or those it leaves to others, and how many processes it has.

    Without a number it has WORKER_CONCURRENCY.
    """

    queues: tuple[str, ...]
    others: tuple[str, ...]
    processes: int | None

    @property
    def name(self) -> str:
        """What its log is called."""
        return "-".join(("worker", *self.queues))


def parse(text: str) -> tuple[WorkerGroup, ...]:
    """Return the groups of a text; `*` stands for all queues that no other group names.

    Raises:
        ValueError: it is not of that form, or a queue is named twice.

    """
    found = [_GROUP.fullmatch(group) for group in text.split()]
    if not found or None in found:
        raise ValueError("must be queues, a colon and a number of processes, as in 'images:2 *:1'")
    groups = [(each[1].split(","), each[2]) for each in found if each]
    names = [queue for queues, _ in groups for queue in queues]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"must name each queue once, and has {', '.join(twice)} twice")
    if any(number and not 1 <= int(number) <= MOST_PROCESSES for _, number in groups):
        raise ValueError(f"must have 1 to {MOST_PROCESSES} processes in each group")
    named = tuple(name for name in names if name != REST)
    return tuple(
        WorkerGroup(
            () if queues == [REST] else tuple(queues),
            named if queues == [REST] else (),
            int(number) if number else None,
        )
        for queues, number in groups
    )
