"""`enroll backfills`: starts, watches, pauses and resumes backfills."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from cli.console import print_json, print_line, print_table
from cli.database import run_with_database
from cli.options import AsJson
from infra.queue import operations, queries
from infra.queue.errors import TaskNotFound
from infra.queue.queries import TaskFilters
from infra.queue.table import TaskRow
from tasks import backfills
from tasks.registry import load_tasks

T = TypeVar("T")

app = typer.Typer(
    help="Give the rows of before a migration their new values.", no_args_is_help=True
)


def _known(name: str) -> str:
    if name not in _names():
        raise typer.BadParameter(f"must be one of: {', '.join(_names()) or 'there is none'}")
    return name


Name = Annotated[str, typer.Argument(callback=_known, help="As `list` shows it.")]


@app.command("list")
def list_backfills(*, as_json: AsJson = False) -> None:
    """Show the backfills of this release, and how far each is."""
    shown = [_row(name, task) for name, task in _run(_newest_of_each).items()]
    if as_json:
        print_json(shown)
    else:
        print_table(tuple(_row("", None)), (tuple(row.values()) for row in shown))


@app.command()
def start(name: Name) -> None:
    """Start a backfill; one that runs goes on."""
    print_line(_run(lambda: backfills.start(name)))


@app.command()
def pause(name: Name) -> None:
    """End a backfill after its batch; `resume` goes on there."""
    _run(lambda: _on_newest(name, operations.cancel))


@app.command()
def resume(name: Name) -> None:
    """Go on with a backfill that is paused or has failed."""
    _run(lambda: _on_newest(name, operations.retry))


def _names() -> list[str]:
    return sorted(backfills.BACKFILLS.keys() & load_tasks().keys())


async def _newest(name: str) -> TaskRow | None:
    found = await queries.list_tasks(TaskFilters(name=name), 1)
    return found[0] if found else None


async def _newest_of_each() -> dict[str, TaskRow | None]:
    return {name: await _newest(name) for name in _names()}


async def _on_newest(name: str, operate: Callable[[Any], Coroutine[Any, Any, TaskRow]]) -> None:
    newest = await _newest(name)
    if newest is None:
        raise TaskNotFound
    await operate(newest.id)


def _row(name: str, task: TaskRow | None) -> dict[str, object]:
    position = (task and task.checkpoint) or {}
    return {
        "name": name,
        "state": task.state if task else "not started",
        "progress": f"{task.progress} %" if task else "",
        "rows": f"{position['done']} of {position['total']}" if position else "",
        "task": task.id if task else "",
    }


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return run_with_database("backfills", work)
