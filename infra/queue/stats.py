"""Statistics of the queues, for metrics and operators."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tortoise import BaseDBAsyncClient

from infra.db.engine import primary
from infra.db.sql import rows
from infra.queue.queues import QueueControl, list_controls

MOST_COUNTED = 10_000
# The queue name of tasks that no relay has published yet.
UNASSIGNED = "-"
RATE_SECONDS = 60
# The queues and names of the newest tasks.
NEWEST = f"SELECT queue, name FROM tasks ORDER BY created_at DESC, id DESC LIMIT {MOST_COUNTED}"  # noqa: S608  a constant


def _age_of(condition: str) -> str:
    oldest = f"min(available_at) FILTER (WHERE state = 'queued' AND {condition})"
    return f"coalesce(greatest(0, extract(epoch FROM now() - {oldest})), 0)::float8"


_QUEUE = f"coalesce(queue, '{UNASSIGNED}')"
_COUNTS = f"""
    count(*) FILTER (WHERE state = 'queued') AS queued,
    count(*) FILTER (WHERE state = 'running') AS running,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    {_age_of("TRUE")} AS oldest_due_seconds
"""
_COUNTED = " UNION ALL ".join(
    f"""(
        SELECT queue, name, state,
            coalesce(due_at, nullif(available_at, 'infinity')) AS available_at,
            (published_at IS NULL OR lease_until < now()) AND due_at IS NULL AND waits_for = 0
            AND NOT cancel_requested AS is_unpublished
        FROM tasks WHERE state = '{state}' ORDER BY created_at, id LIMIT $1
    )"""  # noqa: S608  constants only
    for state in ("queued", "running", "failed")
)


@dataclass(frozen=True)
class QueueStats:
    """Task counts of a queue; `oldest_due_seconds` is the time since its oldest task became due."""

    queue: str
    queued: int = 0
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


async def queue_stats(source: BaseDBAsyncClient | None = None) -> list[QueueStats]:
    """Return the statistics of all queues; unpublished tasks are under `UNASSIGNED`.

    Only the oldest `MOST_COUNTED` tasks of each state count, which bounds the cost.
    """
    found = await (source or primary()).execute_query_dict(
        f"SELECT {_QUEUE} AS queue, {_COUNTS} FROM ({_COUNTED}) AS counted GROUP BY 1 ORDER BY 1",  # noqa: S608  constants of this module only
        [MOST_COUNTED],
    )
    return [QueueStats(**row) for row in found]


async def kind_stats(source: BaseDBAsyncClient) -> list[KindStats]:
    """Return the statistics of all kinds of tasks in each queue, bounded in the same way."""
    found = await source.execute_query_dict(
        f"""
        SELECT {_QUEUE} AS queue, name, {_COUNTS}, {_age_of("is_unpublished")} AS relay_lag_seconds
        FROM ({_COUNTED}) AS counted GROUP BY 1, 2 ORDER BY 1, 2
        """,  # noqa: S608  constants of this module only
        [MOST_COUNTED],
    )
    return [KindStats(**row) for row in found]


@dataclass(frozen=True)
class QueueOverview:
    """A queue's counts, how many of its tasks ended a minute, and what operators have set.

    Tasks that no relay has published yet count in the queue that their kind was in, if it is known.
    """

    stats: QueueStats
    control: QueueControl
    ended_per_minute: float = 0.0


async def overview() -> tuple[list[QueueOverview], list[str]]:
    """Return the queues that have tasks or are steered, and the names of the tasks, sorted.

    Of the tasks that have ended, only the `MOST_COUNTED` newest make a queue or a name known.
    """
    kinds = await kind_stats(primary())
    newest = await rows(f"SELECT DISTINCT queue, name FROM ({NEWEST}) AS newest")  # noqa: S608  a constant
    queue_of = {row["name"]: row["queue"] for row in newest if row["queue"]}
    controls = {each.name: each for each in await list_controls()}
    rates = await _ended_per_minute()
    found: defaultdict[str, list[KindStats]] = defaultdict(list)
    for kind in kinds:
        is_unassigned = kind.queue == UNASSIGNED
        found[queue_of.get(kind.name, kind.queue) if is_unassigned else kind.queue].append(kind)
    names = {*found, *queue_of.values(), *controls}
    queues = [
        QueueOverview(
            _sum(name, found[name]), controls.get(name, QueueControl(name=name)), rates.get(name, 0)
        )
        for name in sorted(names)
    ]
    return queues, sorted({row["name"] for row in newest} | {kind.name for kind in kinds})


def _sum(queue: str, kinds: Iterable[KindStats]) -> QueueStats:
    kinds = list(kinds)
    return QueueStats(
        queue,
        sum(kind.queued for kind in kinds),
        sum(kind.running for kind in kinds),
        sum(kind.failed for kind in kinds),
        max((kind.oldest_due_seconds for kind in kinds), default=0.0),
    )


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
