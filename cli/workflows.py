"""`enroll workflows`: shows, retries and cancels tasks that wait for each other."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from cli.console import print_json, print_line, print_table
from cli.options import AsJson, Limit, PageNumber
from cli.tasks import Yes, run, state_of
from infra.queue import workflows
from infra.queue.workflows import WorkflowSummary, WorkflowTask

STATES = ("waiting", "queued", "running", "succeeded", "failed", "cancelled")
COLUMNS = ("id", "created", *STATES)
TASK_COLUMNS = ("id", "name", "state", "after", "attempts", "error")
DISPENSABLE = ("error", "attempts", "after")

app = typer.Typer(help="Show and control tasks that wait for each other.", no_args_is_help=True)

Workflow = Annotated[UUID, typer.Argument(help="The workflow's id.", metavar="ID")]


@app.command("list")
def list_workflows(limit: Limit = 50, page: PageNumber = 1, *, as_json: AsJson = False) -> None:
    """List workflows, the newest first, with the numbers of their tasks."""
    found = run(lambda: workflows.list_workflows(limit, offset=(page - 1) * limit))
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        print_table(COLUMNS, map(_row, found))


@app.command()
def show(workflow_id: Workflow, *, as_json: AsJson = False) -> None:
    """Show the tasks of a workflow, and for which others each waits."""
    found = run(lambda: workflows.tasks_of(workflow_id))
    if as_json:
        print_json([asdict(each.task) | {"after": each.after} for each in found])
    else:
        print_table(TASK_COLUMNS, map(_task_row, found), dispensable=DISPENSABLE)


@app.command()
def retry(workflow_id: Workflow, *, yes: Yes = False) -> None:
    """Retry the tasks of a workflow that failed or were cancelled."""
    _operate(workflow_id, "retried", workflows.retry, yes=yes)


@app.command()
def cancel(workflow_id: Workflow, *, yes: Yes = False) -> None:
    """Cancel all tasks of a workflow that have not ended."""
    _operate(workflow_id, "cancelled", workflows.cancel, yes=yes)


def _operate(
    workflow_id: UUID, done: str, act: Callable[[UUID], Awaitable[int]], *, yes: bool
) -> None:
    if not yes:
        typer.confirm(f"tasks of the whole workflow will be {done}; continue?", abort=True)

    async def operate() -> int:
        return await act(workflow_id)

    print_line(f"{run(operate)} {done}")


def _row(each: WorkflowSummary) -> tuple[object, ...]:
    counts = (getattr(each, state) for state in STATES)
    return each.id, f"{each.created_at:%Y-%m-%d %H:%M:%S}", *counts


def _task_row(each: WorkflowTask) -> tuple[object, ...]:
    task = each.task
    return (
        task.id,
        task.name,
        state_of(task),
        ", ".join(each.after),
        f"{task.attempts}/{task.max_attempts or '-'}",
        task.error or "",
    )
