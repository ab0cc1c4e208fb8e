"""The metrics of the durable queue, which the metrics process reads for each scrape."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from tortoise import BaseDBAsyncClient

from infra.db.engine import UNUSABLE, open_pool
from infra.metrics_server import Read
from infra.observability import logs
from infra.observability.events import Event
from infra.observability.exposition import Reading
from infra.observability.meters import LabelValues
from infra.queue.kind import KINDS
from infra.queue.stats import UNASSIGNED, HeldBack, KindStats, held_back, kind_stats
from services.task_names import TaskName

# Time limit of the queries; after it the exposition omits these metrics.
DATABASE_SECONDS = 2.0
# Bounds on the series: the names come from the database.
MAX_QUEUES, MAX_TASKS = 50, 200
STATES = ("queued", "running", "failed")

_queues = LabelValues(dynamic=MAX_QUEUES)
_tasks = LabelValues(*TaskName, dynamic=MAX_TASKS)
_states = LabelValues(*STATES)

log = logs.get_logger(__name__)


@asynccontextmanager
async def task_readings(database_url: str) -> AsyncIterator[Read]:
    """Open a connection for reading the queue."""
    async with open_pool(database_url, pool_size=1) as source:
        yield partial(_read, source)


async def _read(source: BaseDBAsyncClient) -> list[Reading]:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            return readings_of(await kind_stats(source), await held_back(source))
    except UNUSABLE as error:  # TimeoutError is an OSError
        log.warning(Event.QUEUES_NOT_READ, error=str(error))
        return []


def readings_of(found: Iterable[KindStats], held: Mapping[str, HeldBack]) -> list[Reading]:
    """Return the metrics of all known kinds of tasks, and of others that have open ones.

    `held` has the queues for which operators have set something.
    """
    of_kinds = {kind.name: kind.queue for kind in KINDS.values()}
    queues = dict.fromkeys(map(str, TaskName), UNASSIGNED) | of_kinds
    known = {(queue, name): KindStats(queue, name=name) for name, queue in queues.items()}
    kinds = (known | {(each.queue, each.name): each for each in found}).values()
    names = sorted(held.keys() | {each.queue for each in kinds})
    return [
        Reading(
            "tasks_open",
            "Tasks that are not done, in numbers with a bound.",
            {"queue": _queues, "task": _tasks, "state": _states},
            {
                (each.queue, each.name, state): float(getattr(each, state))
                for each in kinds
                for state in STATES
            },
        ),
        Reading(
            "tasks_due",
            "Queued tasks whose time has come, in numbers with a bound.",
            {"queue": _queues, "task": _tasks},
            {(each.queue, each.name): float(each.due) for each in kinds},
        ),
        Reading(
            "tasks_oldest_due_seconds",
            "Time since the task became due that has waited longest for its claim.",
            {"queue": _queues, "task": _tasks},
            {(each.queue, each.name): each.oldest_due_seconds for each in kinds},
        ),
        Reading(
            "relay_lag_seconds",
            "Time since the task became due that has waited longest for its publication.",
            {},
            {(): max((each.relay_lag_seconds for each in kinds), default=0.0)},
        ),
        Reading(
            "queue_paused_seconds",
            "Time since an operator paused the queue; 0 while it starts tasks.",
            {"queue": _queues},
            {(queue,): held.get(queue, HeldBack()).paused for queue in names},
        ),
        Reading(
            "queue_start_interval_seconds",
            "Time that the queue's rate limit leaves between two starts; 0 without one.",
            {"queue": _queues},
            {(queue,): held.get(queue, HeldBack()).interval for queue in names},
        ),
    ]
