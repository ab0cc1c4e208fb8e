"""`enroll tasks`: what an operator sees of the tasks and does to them."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.live import Live
from rich.table import Table

from cli.console import print_json, print_table, say, table, terminal
from cli.paging import Limit, PageNumber
from infra.cache import NoCache
from infra.db.engine import database
from infra.observability import logs
from infra.process import signals
from infra.queue import hooks, operations, queries
from infra.queue.errors import QueueError
from infra.queue.queries import TaskFilters
from infra.queue.stats import QueueStats, queue_stats
from infra.queue.table import TaskRow
from infra.settings import Use, load_settings, require_database
from models import TaskState
from services.task_hooks import TaskHooks

EXIT_NOT_DRAINED = 3
WATCH_SECONDS = 1.0
STATS_COLUMNS = ("queue", "queued", "running", "failed", "oldest waits")
TASK_COLUMNS = ("id", "name", "state", "progress", "attempts", "created", "error")
# The first of these is left out first, where a terminal is too narrow.
DISPENSABLE = ("error", "progress", "attempts", "created", "state")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

T = TypeVar("T")

app = typer.Typer(help="See and steer the tasks.", no_args_is_help=True)


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise typer.BadParameter(
            f"must be a number and s, m, h or d, as in 90s or 2h (it is {text!r})"
        )
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


States = Annotated[list[TaskState] | None, typer.Option("--state", help="May be given twice.")]
Name = Annotated[str | None, typer.Option("--name", help="Such as images.process.")]
Age = Annotated[
    timedelta | None,
    typer.Option("--older-than", parser=_age, metavar="AGE", help="Such as 90s, 15m, 2h or 1d."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
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
    found = _run(lambda: queries.list_tasks(filters, limit, offset=offset))
    if as_json:
        print_json([asdict(task) for task in found])
        return
    print_table(TASK_COLUMNS, map(_task_row, found), dispensable=DISPENSABLE)


@app.command()
def show(task_id: UUID, *, as_json: AsJson = False) -> None:
    """Show a task whole, with its arguments and traceback."""
    whole = asdict(_run(lambda: queries.get(task_id)))
    if as_json:
        print_json(whole)
        return
    for key, value in whole.items():
        say(f"{key + ':':<16} {'' if value is None else value}")


def _bulk_command(
    name: str, done: str, act: Callable[[UUID], Awaitable[object]], usual: TaskState, text: str
) -> None:
    """Add a command that does something to tasks by id, or to all that match filters."""

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
        chosen = state or ([] if task_ids else [usual])
        _bulk(done, act, task_ids, _filters(chosen, name, older_than), yes=yes)

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
    """Show how the queues stand."""
    found = _run(queue_stats)
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        print_table(STATS_COLUMNS, map(_stats_row, found))


@app.command()
def drain(
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 300,
) -> None:
    """Wait until nothing is queued or running; exit code 3 if that takes too long."""

    async def wait() -> int:
        deadline = time.monotonic() + timeout
        while left := sum(each.queued + each.running for each in await queue_stats()):
            if time.monotonic() >= deadline:
                return left
            await asyncio.sleep(min(WATCH_SECONDS, timeout))
        return 0

    if left := _run(wait):
        say(f"enroll: {left} tasks are not done after {timeout:g} s", to_stderr=True)
        raise typer.Exit(EXIT_NOT_DRAINED)
    say("nothing is queued or running")


@app.command()
def watch() -> None:
    """Show the queues and the latest tasks, anew each second, until Ctrl-C."""

    async def show_anew() -> None:
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
        _run(show_anew)
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
    chosen = task_ids or _run(lambda: queries.list_ids(filters))
    if not chosen:
        say("no task matches")
        return
    if not task_ids and not yes:
        typer.confirm(f"{len(chosen)} tasks are to be {done}; go on?", abort=True)

    async def act_on_all() -> list[str]:
        faults = []
        for task_id in chosen:
            try:
                await act(task_id)
            except QueueError as error:
                faults.append(f"{task_id}: {error.message}")
        return faults

    faults = _run(act_on_all)
    say(f"{len(chosen) - len(faults)} {done}")
    for fault in faults:
        say(f"enroll: {fault}", to_stderr=True)
    if faults:
        raise typer.Exit(1)


def _filters(
    states: list[TaskState] | None, name: str | None, older_than: timedelta | None
) -> TaskFilters:
    return TaskFilters(states=frozenset(states or ()), name=name, older_than=older_than)


def _stats_row(each: QueueStats) -> tuple[object, ...]:
    return each.queue, each.queued, each.running, each.failed, f"{each.oldest_due_seconds:.1f} s"


def _task_row(task: TaskRow) -> tuple[object, ...]:
    return (
        task.id,
        task.name,
        task.state,
        f"{task.progress} %",
        f"{task.attempts}/{task.max_attempts or '-'}",
        f"{task.created_at:%Y-%m-%d %H:%M:%S}",
        task.error or "",
    )


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    settings = load_settings(uses=Use.DATABASE)
    logs.configure_command(settings.log_level, settings.log_format, process="tasks")

    async def connected() -> T:
        async with database(require_database(settings), pool_size=1):
            with hooks.registered(TaskHooks(NoCache())):
                return await work()

    return signals.run(connected())
