"""`enroll tasks`: lists, retries, cancels and watches tasks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.live import Live
from rich.table import Table

from cli.console import print_error, print_json, print_line, print_table, table, terminal
from cli.database import run_with_database
from cli.options import AsJson, Limit, PageNumber, age
from infra.queue import operations, queries
from infra.queue.queries import TaskFilters
from infra.queue.stats import QueueStats, queue_stats, unfinished
from infra.queue.table import TaskRow
from models import TaskState
from tasks.registry import load_tasks

EXIT_NOT_DRAINED = 3
WAITING = "waiting"
WATCH_SECONDS = 1.0
STATS_COLUMNS = ("queue", "queued", "due", "running", "failed", "oldest waits")
TASK_COLUMNS = ("id", "name", "state", "progress", "attempts", "created", "error")
DISPENSABLE = ("error", "progress", "attempts", "created", "state")

T = TypeVar("T")

app = typer.Typer(help="Show and control the tasks.", no_args_is_help=True)


States = Annotated[list[TaskState] | None, typer.Option("--state", help="May be given twice.")]
Name = Annotated[str | None, typer.Option("--name", help="Such as images.process.")]
Age = Annotated[
    timedelta | None,
    typer.Option("--older-than", parser=age, metavar="AGE", help="Such as 90s, 15m, 2h or 1d."),
]
Ids = Annotated[list[UUID] | None, typer.Argument(metavar="[ID]...", help="Ids, or use filters.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_tasks(  # noqa: PLR0913  an argument an option
    state: States = None,
    name: Name = None,
    older_than: Age = None,
    limit: Limit = 50,
    page: PageNumber = 1,
    *,
    as_json: AsJson = False,
) -> None:
    """List tasks, the newest first."""
    filters, offset = _filters(state, name, older_than), (page - 1) * limit
    rows = run(lambda: queries.list_tasks(filters, limit, offset=offset))
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(TASK_COLUMNS, map(_task_row, rows), dispensable=DISPENSABLE)


@app.command()
def show(task_id: UUID, *, as_json: AsJson = False) -> None:
    """Show all fields of a task, with its arguments and traceback."""
    fields = asdict(run(lambda: queries.get(task_id)))
    if as_json:
        print_json(fields)
        return
    for key, value in fields.items():
        print_line(f"{key + ':':<16} {'' if value is None else value}")


def _bulk_command(
    name: str, done: str, act: Callable[[UUID], Awaitable[object]], default: TaskState, text: str
) -> None:
    """Add a command that acts on tasks by id, or on all that match filters."""

    def command(
        task_ids: Ids = None,
        state: States = None,
        name: Name = None,
        older_than: Age = None,
        *,
        yes: Yes = False,
    ) -> None:
        if task_ids and (state or name or older_than):
            raise typer.BadParameter("give ids or filters, not both")
        states = state or ([] if task_ids else [default])
        _bulk(done, act, task_ids, _filters(states, name, older_than), yes=yes)

    app.command(name, help=text)(command)


_bulk_command(
    "retry",
    "retried",
    operations.retry,
    TaskState.FAILED,
    "Queue failed or cancelled tasks again; without ids, all failed ones that match the filters.",
)
_bulk_command(
    "cancel",
    "cancelled",
    operations.cancel,
    TaskState.QUEUED,
    "Cancel waiting or running tasks; without ids, all waiting ones that match the filters.",
)
_bulk_command(
    "drop",
    "dropped",
    operations.drop,
    TaskState.FAILED,
    "Delete tasks that have ended; without ids, all failed ones that match the filters.",
)


@app.command()
def stats(*, as_json: AsJson = False) -> None:
    """Show the number of tasks of each queue, by state."""
    load_tasks()
    queues = run(queue_stats)
    if as_json:
        print_json([asdict(each) for each in queues])
    else:
        print_table(STATS_COLUMNS, map(_stats_row, queues))


@app.command()
def drain(
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 300,
    *,
    later: Annotated[
        bool,
        typer.Option("--later", help="Wait also for tasks that are due later or wait for others."),
    ] = False,
) -> None:
    """Wait until no task is due or running; exit code 3 if that takes too long."""

    async def wait() -> int:
        deadline = time.monotonic() + timeout
        while left := await unfinished(later=later):
            if time.monotonic() >= deadline:
                return left
            await asyncio.sleep(min(WATCH_SECONDS, timeout))
        return 0

    if left := run(wait):
        print_error(f"{left} tasks are not done after {timeout:g} s")
        raise typer.Exit(EXIT_NOT_DRAINED)
    print_line("nothing is queued or running" if later else "nothing is due or running")


@app.command()
def watch() -> None:
    """Show the queues and the latest tasks, refreshed each second, until Ctrl-C."""
    load_tasks()

    async def refresh() -> None:
        console = terminal()
        with Live(console=console, screen=console.is_terminal) as live:
            while True:
                stats, latest = (
                    await queue_stats(),
                    await queries.list_tasks(TaskFilters(), 20),
                )
                grid = Table.grid(padding=(1, 0))
                grid.add_row(table(console, STATS_COLUMNS, map(_stats_row, stats)))
                rows = map(_task_row, latest)
                grid.add_row(table(console, TASK_COLUMNS, rows, dispensable=DISPENSABLE))
                live.update(grid)
                await asyncio.sleep(WATCH_SECONDS)

    try:
        run(refresh)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _bulk(
    done: str,
    act: Callable[[UUID], Awaitable[object]],
    task_ids: list[UUID] | None,
    filters: TaskFilters,
    *,
    yes: bool,
) -> None:
    chosen = task_ids or run(lambda: queries.list_ids(filters))
    if not chosen:
        print_line("no task matches")
        return
    if not task_ids and not yes:
        typer.confirm(f"{len(chosen)} tasks will be {done}; continue?", abort=True)

    faults = run(lambda: operations.for_each(act, chosen))
    print_line(f"{len(chosen) - len(faults)} {done}")
    for task_id, error in faults.items():
        print_error(f"{task_id}: {error.message}")
    if faults:
        raise typer.Exit(1)


def _filters(
    states: list[TaskState] | None, name: str | None, older_than: timedelta | None
) -> TaskFilters:
    return TaskFilters(states=frozenset(states or ()), name=name, older_than=older_than)


def _stats_row(each: QueueStats) -> tuple[object, ...]:
    return (
        each.queue,
        each.queued,
        each.due,
        each.running,
        each.failed,
        f"{each.oldest_due_seconds:.1f} s",
    )


def _task_row(task: TaskRow) -> tuple[object, ...]:
    return (
        task.id,
        task.name,
        state_of(task),
        f"{task.progress} %",
        f"{task.attempts}/{task.max_attempts or '-'}",
        f"{task.created_at:%Y-%m-%d %H:%M:%S}",
        task.error or "",
    )


def state_of(task: TaskRow) -> str:
    """Return the state as operators see it: a queued task may wait for others."""
    return WAITING if task.state == TaskState.QUEUED and task.waits_for else task.state


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine with the database and the hooks of operations."""
    return run_with_database("tasks", work)
