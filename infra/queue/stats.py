"""Statistics of the queues, for metrics and operators."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, cast

from tortoise import BaseDBAsyncClient

from infra.db.engine import primary
from infra.db.sql import rows
from infra.queue.kind import KINDS
from infra.queue.queues import IS_PAUSED, QueueControl, list_controls

MOST_COUNTED = 10_000
# The queue name of tasks that no relay has published yet, if the process does not know their kind.
UNASSIGNED = "-"
RATE_SECONDS = 60

_FIELDS = """
    queue, name, state, coalesce(due_at, available_at) AS due_at,
    (published_at IS NULL OR lease_until < now()) AND due_at IS NULL AND NOT cancel_requested
        AS is_unpublished
"""
_AGE = "coalesce(greatest(0, extract(epoch FROM now() - min(due_at) FILTER (WHERE {}))), 0)::float8"
_IS_DUE = "state = 'queued' AND due_at <= now()"
_COUNTS = f"""
    count(*) FILTER (WHERE state = 'queued') AS queued,
    count(*) FILTER (WHERE {_IS_DUE}) AS due,
    count(*) FILTER (WHERE state = 'running') AS running,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    {_AGE.format(_IS_DUE)} AS oldest_due_seconds
"""
# The queued tasks in the order of their times, so that those of the future hide none that is due:
# by name and priority as in `ix_tasks_due`, and those in line for their keys as in `ix_tasks_line`.
_COUNTED = f"""
    WITH RECURSIVE names AS (
        SELECT min(name) AS name FROM tasks WHERE state = 'queued'
        UNION ALL
        SELECT (SELECT min(name) FROM tasks WHERE state = 'queued' AND tasks.name > names.name)
        FROM names WHERE name IS NOT NULL
    ), levels AS (
        SELECT name, (SELECT max(priority) FROM tasks
                      WHERE state = 'queued' AND tasks.name = names.name) AS priority
        FROM names WHERE name IS NOT NULL
        UNION ALL
        SELECT name, (SELECT max(priority) FROM tasks
                      WHERE state = 'queued' AND tasks.name = levels.name
                        AND tasks.priority < levels.priority)
        FROM levels WHERE priority IS NOT NULL
    ), counted AS (
        SELECT found.* FROM levels, LATERAL (
            SELECT {_FIELDS} FROM tasks
            WHERE state = 'queued' AND name = levels.name AND priority = levels.priority
              AND available_at <= now()
            ORDER BY available_at LIMIT $1
        ) AS found
        UNION ALL
        SELECT found.* FROM levels, LATERAL (
            SELECT {_FIELDS} FROM tasks
            WHERE state = 'queued' AND name = levels.name AND priority = levels.priority
              AND available_at > now()
            ORDER BY available_at LIMIT $1
        ) AS found WHERE due_at > now()
        UNION ALL
        (SELECT {_FIELDS} FROM tasks WHERE state = 'queued' AND due_at <= now()
         ORDER BY tasks.due_at LIMIT $1)
        UNION ALL
        (SELECT {_FIELDS} FROM tasks WHERE state = 'running' ORDER BY created_at, id LIMIT $1)
        UNION ALL
        (SELECT {_FIELDS} FROM tasks WHERE state = 'failed' ORDER BY created_at, id LIMIT $1)
    )
"""  # noqa: S608  constants only
_KINDS = f"""
    {_COUNTED}
    SELECT coalesce(counted.queue, kinds.queue, '{UNASSIGNED}') AS queue, counted.name, {_COUNTS},
        {_AGE.format(f"{_IS_DUE} AND is_unpublished")} AS relay_lag_seconds
    FROM counted LEFT JOIN unnest($2::text[], $3::text[]) AS kinds (name, queue)
        ON kinds.name = counted.name
    GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608  constants only
# One statement: between two, a task could end and its successor become due.
_UNFINISHED = f"""
    {_COUNTED}
    SELECT count(*) FILTER (WHERE state = 'running' OR {_IS_DUE} OR $2 AND state = 'queued') + (
        SELECT count(*) FROM (
            SELECT FROM tasks WHERE is_awaited AND finished_at IS NOT NULL LIMIT $1
        ) AS untold
    ) AS total
    FROM counted
"""  # noqa: S608  constants only
# The queues and names of the newest tasks.
_NEWEST = f"""
    SELECT DISTINCT queue, name FROM (
        SELECT queue, name FROM tasks ORDER BY created_at DESC, id DESC LIMIT {MOST_COUNTED}
    ) AS newest
"""  # noqa: S608  a constant


@dataclass(frozen=True)
class QueueStats:
    """Task counts of a queue.

    `due` are those of the `queued` tasks whose time has come and which wait for no others;
    `oldest_due_seconds` is the time since the oldest of them became due.
    """

    queue: str
    queued: int = 0
    due: int = 0
    running: int = 0
    failed: int = 0
    oldest_due_seconds: float = 0.0


@dataclass(frozen=True)
class KindStats(QueueStats):
    """Task counts of a kind of task in a queue, as those of a queue.

    `relay_lag_seconds` is the time since its oldest task became due that no relay has published.
    """

    name: str = ""
    relay_lag_seconds: float = 0.0


async def kind_stats(source: BaseDBAsyncClient | None = None) -> list[KindStats]:
    """Return the statistics of all kinds of tasks in each queue.

    Tasks that no relay has published are in the queue of their kind, if `KINDS` has it. Of the
    queued tasks of a kind and priority at most `MOST_COUNTED` due and as many later ones count, of
    those in line for their keys, the running and the failed ones the `MOST_COUNTED` oldest of each.
    That bounds the cost.
    """
    found = await (source or primary()).execute_query_dict(
        _KINDS, [MOST_COUNTED, list(KINDS), [kind.queue for kind in KINDS.values()]]
    )
    return [KindStats(**row) for row in found]


async def queue_stats() -> list[QueueStats]:
    """Return the statistics of all queues, the sums of those of their kinds."""
    return [_sum(queue, kinds) for queue, kinds in _by_queue(await kind_stats()).items()]


class HeldBack(NamedTuple):
    """How operators hold a queue back.

    `paused` is for how many seconds it is paused, 0 while it starts tasks. `interval` is the time
    in seconds that its rate leaves between two starts, 0 without a rate.
    """

    paused: float = 0.0
    interval: float = 0.0


async def held_back(source: BaseDBAsyncClient) -> dict[str, HeldBack]:
    """Return how the queues are held back for which operators have set something."""
    found = await source.execute_query_dict(
        f"""
        SELECT name, coalesce(rate_seconds::float8 / rate, 0) AS interval,
               CASE WHEN {IS_PAUSED} THEN extract(epoch FROM now() - paused_at)::float8
                    ELSE 0 END AS paused
        FROM task_queues
        """  # noqa: S608  a constant
    )
    return {row["name"]: HeldBack(row["paused"], row["interval"]) for row in found}


@dataclass(frozen=True)
class QueueOverview:
    """A queue's counts, how many of its tasks ended a minute, and what operators have set."""

    stats: QueueStats
    control: QueueControl
    ended_per_minute: float = 0.0


async def overview() -> tuple[list[QueueOverview], list[str]]:
    """Return the queues that have tasks, kinds or settings, and the names of the tasks, sorted.

    Of the tasks that have ended, only the `MOST_COUNTED` newest make a queue or a name known.
    """
    kinds = await kind_stats()
    newest = await rows(_NEWEST)
    controls = {each.name: each for each in await list_controls()}
    rates = await _ended_per_minute()
    found = _by_queue(kinds)
    known = {kind.queue for kind in KINDS.values()} | {row["queue"] for row in newest} - {None}
    queues = [
        QueueOverview(
            _sum(name, found[name]), controls.get(name, QueueControl(name=name)), rates.get(name, 0)
        )
        for name in sorted({*found, *known, *controls})
    ]
    names = {*KINDS, *(row["name"] for row in newest), *(kind.name for kind in kinds)}
    return queues, sorted(names)


def _by_queue(kinds: Iterable[KindStats]) -> defaultdict[str, list[KindStats]]:
    found: defaultdict[str, list[KindStats]] = defaultdict(list)
    for kind in kinds:
        found[kind.queue].append(kind)
    return found


def _sum(queue: str, kinds: Iterable[KindStats]) -> QueueStats:
    kinds = list(kinds)
    return QueueStats(
        queue,
        sum(kind.queued for kind in kinds),
        sum(kind.due for kind in kinds),
        sum(kind.running for kind in kinds),
        sum(kind.failed for kind in kinds),
        max((kind.oldest_due_seconds for kind in kinds), default=0.0),
    )


async def unfinished(*, later: bool) -> int:
    """Return how many tasks are due, run, or have ended and their successors are not told yet.

    With `later`, those that are due later or wait for others count, too. The count is bounded as
    that of `kind_stats`, and is 0 only if there are none.
    """
    (counted,) = await rows(_UNFINISHED, MOST_COUNTED, later)
    return cast("int", counted["total"])


async def _ended_per_minute() -> dict[str, float]:
    """Return how many tasks ended in the last minute, by queue.

    Of more than `MOST_COUNTED`, the newest count, and the time since the oldest of them.
    """
    found = await rows(
        """
        WITH ended AS (
            SELECT coalesce(queue, $3) AS queue, finished_at FROM tasks
            WHERE finished_at > now() - make_interval(secs => $1)
            ORDER BY finished_at DESC LIMIT $2
        ), span AS (
            SELECT CASE WHEN count(*) < $2 THEN $1::float8
                ELSE greatest(extract(epoch FROM now() - min(finished_at)), 0.001) END AS seconds
            FROM ended
        )
        SELECT queue, (count(*) * 60 / seconds)::float8 AS rate
        FROM ended, span GROUP BY queue, seconds
        """,
        RATE_SECONDS,
        MOST_COUNTED,
        UNASSIGNED,
    )
    return {row["queue"]: row["rate"] for row in found}
