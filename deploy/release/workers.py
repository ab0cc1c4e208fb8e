"""Drains the workers of the revision that does not stay."""

import time
from collections.abc import Iterator, Sequence

from worker.control import (
    RunningWorker,
    WorkerNotFound,
    held_tasks,
    running_workers,
    stop_consuming,
)

POLL_SECONDS = 0.5


def drain(names: Sequence[str], timeout: float) -> list[str]:
    """Let workers take no more tasks, and wait until they hold none; others go on with the queues.

    Args:
        names: Celery's names of the workers; those that do not run are drained.
        timeout: Seconds.

    Returns:
        The workers that still hold tasks.

    Raises:
        BrokerUnavailable: no worker can be reached.

    """
    if not names:
        return []
    workers = [each for each in running_workers() if each.name in names]
    for each in workers:
        for queue in each.queues:
            stop_consuming(each.name, queue)
    deadline = time.monotonic() + timeout
    while (busy := sorted(set(_busy(workers)))) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return busy


def _busy(workers: Sequence[RunningWorker]) -> Iterator[str]:
    for each in workers:
        try:
            if any(held_tasks(each.name, queue) for queue in each.queues):
                yield each.name
        except WorkerNotFound:
            continue  # it has ended
