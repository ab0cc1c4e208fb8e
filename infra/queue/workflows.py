"""Workflows: tasks that wait for each other, enqueued together, and operated on together."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from uuid import UUID

from uuid_utils.compat import uuid7

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.observability import tracing
from infra.observability.spans import Kind
from infra.queue import operations, successors
from infra.queue.enqueue import stored_arguments
from infra.queue.errors import InvalidWorkflow, WorkflowNotFound, WorkflowStateConflict
from infra.queue.insert import NewTask, Shared, insert
from infra.queue.successors import Edge, OnFailure
from infra.queue.table import COLUMNS, TaskRow

CALLBACK = "callback"
MOST_PREDECESSORS = 100
_COUNTS = ", ".join(
    f"count(*) FILTER (WHERE {condition}) AS {name}"
    for name, condition in {
        "waiting": "state = 'queued' AND waits_for > 0",
        "queued": "state = 'queued' AND waits_for = 0",
        "running": "state = 'running'",
        "succeeded": "state = 'succeeded'",
        "failed": "state = 'failed'",
        "cancelled": "state = 'cancelled'",
    }.items()
)
# Their ids grow with time. The scan steps from one workflow to the next in the index, and reads the
# tasks of the page's workflows only.
_PAGE = f"""
    WITH RECURSIVE newest AS (
        (SELECT workflow_id AS id, 1 AS number FROM tasks
         WHERE workflow_id IS NOT NULL ORDER BY workflow_id DESC LIMIT 1)
        UNION ALL
        SELECT (SELECT workflow_id FROM tasks WHERE workflow_id < newest.id
                ORDER BY workflow_id DESC LIMIT 1), number + 1
        FROM newest WHERE id IS NOT NULL AND number < $1::bigint + $2::bigint
    )
    SELECT newest.id, counted.* FROM newest, LATERAL (
        SELECT min(created_at) AS created_at, {_COUNTS} FROM tasks WHERE workflow_id = newest.id
    ) AS counted
    WHERE newest.id IS NOT NULL AND number > $2::bigint ORDER BY number
"""  # noqa: S608  constants only


@dataclass(frozen=True)
class Step:
    """A task of a workflow: its kind and arguments, and the steps after which it runs.

    If one of these fails or is cancelled, `on_failure` says what becomes of the step: it is
    cancelled, or runs when all have ended.
    """

    name: str
    args: Mapping[str, object]
    after: Iterable[str] = ()
    on_failure: OnFailure = OnFailure.CANCEL
    priority: int = 0
    concurrency_key: str | None = None


@dataclass(frozen=True)
class Workflow:
    """An enqueued workflow; `tasks` are those of its steps."""

    id: UUID
    tasks: dict[str, UUID]


@dataclass(frozen=True)
class WorkflowSummary:
    """A workflow and the number of its tasks by state; `waiting` are those that wait for others."""

    id: UUID
    created_at: datetime
    waiting: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int

    @property
    def total(self) -> int:
        """The number of its tasks."""
        ended = self.succeeded + self.failed + self.cancelled
        return self.waiting + self.queued + self.running + ended


@dataclass(frozen=True)
class WorkflowTask:
    """A task of a workflow, and the tasks for which it waits or has waited, by its names."""

    task: TaskRow
    after: dict[str, UUID]


async def enqueue_workflow(steps: Mapping[str, Step]) -> Workflow:
    """Insert a task for each step, all or none, in the running transaction if there is one.

    A step knows the steps before it by their names (`TaskContext.predecessors`).

    Raises:
        InvalidArguments: the function of a step does not take its arguments.
        InvalidWorkflow: there are no steps, one waits for a step that is not there, or some wait
            for each other.

    """
    before = {name: list(dict.fromkeys(step.after)) for name, step in steps.items()}
    _check(before)
    stored = {name: stored_arguments(step.name, step.args) for name, step in steps.items()}
    awaited = {name for names in before.values() for name in names}
    workflow = Workflow(uuid7(), {name: uuid7() for name in steps})
    with tracing.span("enqueue workflow", Kind.PRODUCER, {"app.tasks": len(steps)}):
        async with transaction():
            await insert(
                [
                    NewTask(
                        workflow.tasks[name],
                        step.name,
                        *stored[name],
                        step.priority,
                        concurrency_key=step.concurrency_key,
                        waits_for=len(before[name]),
                        is_awaited=name in awaited,
                    )
                    for name, step in steps.items()
                ],
                Shared(workflow_id=workflow.id),
            )
            await successors.connect(
                Edge(workflow.tasks[parent], workflow.tasks[child], parent, steps[child].on_failure)
                for child, parents in before.items()
                for parent in parents
            )
    return workflow


async def enqueue_batch(
    name: str,
    args: Iterable[Mapping[str, object]],
    callback: str,
    callback_args: Mapping[str, object],
) -> Workflow:
    """Insert a task of a kind for each of `args`, and a callback that runs once after all of them.

    The callback runs when all have ended, also if some have failed or were cancelled. It knows them
    by their numbers from 0; in the workflow it is the step `CALLBACK`.

    Raises:
        InvalidArguments: a function does not take these arguments.
        InvalidWorkflow: there are no `args`.

    """
    steps = {str(number): Step(name, each) for number, each in enumerate(args)}
    if not steps:
        raise InvalidWorkflow("A batch has at least one task")
    return await enqueue_workflow(
        steps | {CALLBACK: Step(callback, callback_args, tuple(steps), OnFailure.RUN)}
    )


def _check(before: Mapping[str, Iterable[str]]) -> None:
    if not before:
        raise InvalidWorkflow("A workflow has at least one step")
    for name, parents in before.items():
        successors.check_name(name)
        for parent in parents:
            if parent not in before:
                raise InvalidWorkflow(f"The step {name!r} waits for {parent!r}, which is no step")
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        circle = " → ".join(map(repr, reversed(error.args[1])))
        raise InvalidWorkflow(f"Steps wait for each other: {circle}") from None


async def retry(workflow_id: UUID) -> int:
    """Retry all tasks of a workflow that failed or were cancelled; return how many.

    Those that wait for others wait again. What has succeeded is not repeated.

    Raises:
        WorkflowNotFound: no task has this workflow.
        WorkflowStateConflict: none has failed or was cancelled.
        TaskNotRetryable: an open task has the dedupe key of one.

    """
    return await _operate(operations.retry_all, workflow_id)


async def cancel(workflow_id: UUID) -> int:
    """Cancel all tasks of a workflow that have not ended; return how many.

    Raises:
        WorkflowNotFound: no task has this workflow.
        WorkflowStateConflict: all have ended.

    """
    return await _operate(operations.cancel_all, workflow_id)


async def _operate(act: Callable[[UUID], Awaitable[int]], workflow_id: UUID) -> int:
    changed = await act(workflow_id)
    if not changed:
        await tasks_of(workflow_id)
        raise WorkflowStateConflict
    return changed


async def list_workflows(limit: int, *, offset: int = 0) -> list[WorkflowSummary]:
    """Return at most `limit` workflows after the `offset` newest, newest first."""
    found = await rows(_PAGE, limit, offset)
    return [WorkflowSummary(**row) for row in found]


async def summary_of(workflow_id: UUID) -> WorkflowSummary:
    """Return a workflow and the number of its tasks by state.

    Raises:
        WorkflowNotFound: no task has this workflow.

    """
    found = await rows(
        "SELECT workflow_id AS id, min(created_at) AS created_at, "  # noqa: S608  constants only
        f"{_COUNTS} FROM tasks WHERE workflow_id = $1 GROUP BY workflow_id",
        workflow_id,
    )
    if not found:
        raise WorkflowNotFound
    return WorkflowSummary(**found[0])


async def predecessors_of(task_ids: Iterable[UUID]) -> defaultdict[UUID, dict[str, UUID]]:
    """Return by task the first `MOST_PREDECESSORS` for which it waits or has waited, by name."""
    edges = await rows(
        """
        SELECT child_id, name, parent_id FROM unnest($1::uuid[]) AS child (id), LATERAL (
            SELECT child_id, name, parent_id FROM task_edges
            WHERE child_id = child.id ORDER BY name LIMIT $2
        ) AS edges
        """,
        list(task_ids),
        MOST_PREDECESSORS,
    )
    after: defaultdict[UUID, dict[str, UUID]] = defaultdict(dict)
    for edge in edges:
        after[edge["child_id"]][edge["name"]] = edge["parent_id"]
    return after


async def tasks_of(workflow_id: UUID) -> list[WorkflowTask]:
    """Return the tasks of a workflow, in the order in which they were enqueued.

    Raises:
        WorkflowNotFound: no task has this workflow.

    """
    found = await rows(
        f"SELECT {COLUMNS} FROM tasks WHERE workflow_id = $1 ORDER BY created_at, id",  # noqa: S608  constants only
        workflow_id,
    )
    if not found:
        raise WorkflowNotFound
    edges = await rows(
        "SELECT child_id, name, parent_id FROM task_edges WHERE child_id = ANY($1::uuid[]) "
        "ORDER BY id",
        [row["id"] for row in found],
    )
    after: defaultdict[UUID, dict[str, UUID]] = defaultdict(dict)
    for edge in edges:
        after[edge["child_id"]][edge["name"]] = edge["parent_id"]
    return [WorkflowTask(TaskRow.of(row), after[row["id"]]) for row in found]
