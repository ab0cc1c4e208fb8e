"""What operators do to tasks: look, retry, cancel, drop, prune."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID

from tortoise import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from infra.cache import Cache
from infra.db import batches
from infra.db.engine import primary
from infra.db.transactions import transaction
from models import Task, TaskState
from services.audit import trail
from services.audit.trail import Action
from services.catalogue.change import announce_image_task
from services.errors import TaskNotCancellable, TaskNotDroppable, TaskNotRetryable
from services.tasks import CHANNEL, TaskName, get, rows, unindexed

MOST_COUNTED = 10_000
# What stands for a queue where a task has none yet.
UNSEEN = "-"
FINAL = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED})

_IS_RETRYABLE = unindexed("state IN ('queued', 'failed', 'cancelled')")
_IS_OPEN = unindexed("state IN ('queued', 'running')")
_IS_FINAL = unindexed("state IN ('succeeded', 'failed', 'cancelled')")


@dataclass(frozen=True)
class TaskFilters:
    """Which tasks a listing shows; `older_than` is an age."""

    states: frozenset[TaskState] = frozenset()
    name: str | None = None
    older_than: timedelta | None = None


class Cursor(NamedTuple):
    """A place in a listing of tasks: the tasks behind it are older, or newer, than this one."""

    at: datetime
    id: UUID
    is_newer: bool = False


# The last page is what is newer than this.
OLDEST = Cursor(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0), is_newer=True)


@dataclass(frozen=True)
class TaskPage:
    """One page of tasks, how many there are on all pages, and the cursors of those beside it."""

    tasks: list[Task]
    total: int
    newer: Cursor | None
    older: Cursor | None


async def turn(filters: TaskFilters, limit: int, cursor: Cursor | None = None) -> TaskPage:
    """Return the page of at most `limit` tasks at a cursor, or the first; newest first."""
    tasks = await page(filters, limit, cursor)
    newer = older = None
    if tasks:
        newer = Cursor(tasks[0].created_at, tasks[0].id, is_newer=True)
        older = Cursor(tasks[-1].created_at, tasks[-1].id)
    return TaskPage(
        tasks,
        await _matching(filters).count(),
        newer if newer and await page(filters, 1, newer) else None,
        older if older and await page(filters, 1, older) else None,
    )


async def page(
    filters: TaskFilters,
    limit: int,
    cursor: tuple[datetime, UUID] | Cursor | None = None,
    *,
    offset: int = 0,
) -> list[Task]:
    """Return at most `limit` tasks, newest first, behind the cursor or the `offset` newest."""
    chosen = _matching(filters)
    if cursor is None:
        return await chosen.order_by("-created_at", "-id").offset(offset).limit(limit)
    at, task_id, is_newer = Cursor(*cursor)
    if is_newer:
        newer = chosen.filter(Q(created_at__gt=at) | Q(created_at=at, id__gt=task_id))
        return [*reversed(await newer.order_by("created_at", "id").limit(limit))]
    older = chosen.filter(Q(created_at__lt=at) | Q(created_at=at, id__lt=task_id))
    return await older.order_by("-created_at", "-id").limit(limit)


def _matching(filters: TaskFilters) -> QuerySet[Task]:
    chosen = Task.all()
    if filters.states:
        chosen = chosen.filter(state__in=sorted(filters.states))
    if filters.name:
        chosen = chosen.filter(name=filters.name)
    if filters.older_than:
        chosen = chosen.filter(created_at__lt=datetime.now(UTC) - filters.older_than)
    return chosen


async def ids(filters: TaskFilters) -> list[UUID]:
    """Return the ids of all tasks that match, oldest first."""
    found = await _matching(filters).order_by("created_at", "id").values_list("id", flat=True)
    return [cast("UUID", each) for each in found]


async def retry(cache: Cache, task_id: UUID) -> Task:
    """Queue a failed or cancelled task again, with all its attempts; a waiting one is due now.

    The count of attempts goes on: it is the fence against a run that is still alive somewhere.

    Raises:
        TaskNotFound: there is none of this id.
        TaskNotRetryable: it runs, or it succeeded, or another one stands for its dedupe key.

    """
    try:
        async with transaction():
            found = await rows(
                f"""
                UPDATE tasks
                SET state = 'queued', available_at = now(), published_at = NULL,
                    lease_until = NULL,
                    max_attempts = CASE WHEN state = 'queued' THEN max_attempts END,
                    finished_at = NULL, cancel_requested = FALSE, progress = 0
                WHERE id = $1 AND {_IS_RETRYABLE}
                RETURNING id, pg_notify($2, '')
                """,  # noqa: S608  a constant of this module
                task_id,
                CHANNEL,
            )
            task = await get(task_id)
            if not found:
                raise TaskNotRetryable
            await trail.record(Action.RETRY_TASK, task_id)
            await _announce(cache, task)
    except IntegrityError:
        raise TaskNotRetryable("Another task does the same work already") from None
    return task


async def cancel(cache: Cache, task_id: UUID) -> Task:
    """Cancel a waiting task at once; a running one at its next report or heartbeat.

    Raises:
        TaskNotFound: there is none of this id.
        TaskNotCancellable: it has ended.

    """
    async with transaction():
        found = await rows(
            f"""
            UPDATE tasks
            SET cancel_requested = TRUE,
                state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                finished_at = CASE WHEN state = 'queued' THEN now() END
            WHERE id = $1 AND {_IS_OPEN}
            RETURNING id
            """,  # noqa: S608  a constant of this module
            task_id,
        )
        task = await get(task_id)
        if not found:
            raise TaskNotCancellable
        await trail.record(Action.CANCEL_TASK, task_id)
        await _announce(cache, task)
    return task


async def drop(cache: Cache, task_id: UUID) -> None:
    """Delete a task that has ended.

    Raises:
        TaskNotFound: there is none of this id.
        TaskNotDroppable: it has not ended.

    """
    task = await get(task_id)
    async with transaction():
        if not await rows(
            f"DELETE FROM tasks WHERE id = $1 AND {_IS_FINAL} RETURNING id",  # noqa: S608
            task_id,
        ):
            raise TaskNotDroppable
        await trail.record(Action.DROP_TASK, task_id)
        await _announce(cache, task)


async def _announce(cache: Cache, task: Task) -> None:
    """Announce the course whose image the task makes: it shows how that stands."""
    if task.name == TaskName.PROCESS_IMAGE:
        await announce_image_task(cache, UUID(task.args["course_id"]))


@dataclass(frozen=True)
class QueueStats:
    """How a queue stands; `oldest_due_seconds` is how long its oldest task could have run."""

    queue: str
    queued: int = 0
    running: int = 0
    failed: int = 0
    oldest_due_seconds: float = 0.0


async def stats(source: BaseDBAsyncClient | None = None) -> list[QueueStats]:
    """Return how the queues stand; tasks that no worker has seen yet are under `UNSEEN`.

    Of each state the oldest `MOST_COUNTED` are counted: each scrape of the metrics asks.
    """
    each = " UNION ALL ".join(
        f"(SELECT queue, state, available_at FROM tasks WHERE state = '{state}' "  # noqa: S608
        f"ORDER BY created_at, id LIMIT {MOST_COUNTED})"
        for state in (TaskState.QUEUED, TaskState.RUNNING, TaskState.FAILED)
    )
    found = await (source or primary()).execute_query_dict(
        f"""
        SELECT coalesce(queue, '{UNSEEN}') AS queue,
               count(*) FILTER (WHERE state = 'queued') AS queued,
               count(*) FILTER (WHERE state = 'running') AS running,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               coalesce(greatest(0, extract(epoch FROM now() -
                   min(available_at) FILTER (WHERE state = 'queued'))), 0)::float8
                   AS oldest_due_seconds
        FROM ({each}) AS counted GROUP BY 1 ORDER BY 1
        """  # noqa: S608  constants of this module only
    )
    return [QueueStats(**row) for row in found]


async def prune(finished_before: datetime) -> int:
    """Delete the tasks that ended well, or were cancelled, before a time; failed ones stay."""
    return await batches.delete(
        "tasks", "state IN ('succeeded', 'cancelled') AND finished_at < $1", finished_before
    )
