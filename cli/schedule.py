"""`enroll schedule`: lists, pauses, resumes and changes the schedules of tasks."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from cli.console import print_json, print_line, print_table
from cli.database import run_with_database
from cli.options import AsJson, UsageError, age
from infra.queue import schedules
from infra.queue.schedules import Schedule
from infra.queue.timing import InvalidTiming, Timing, declared
from tasks.registry import load_tasks

COLUMNS = ("task", "state", "timing", "declared", "last slot", "next slot")
DISPENSABLE = ("declared", "last slot")

T = TypeVar("T")

app = typer.Typer(help="Show and change the schedules of tasks.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The task's name, as `list` shows it.")]


@app.command("list")
def list_schedules(*, as_json: AsJson = False) -> None:
    """List the schedules, with those whose task this release has no more."""
    found = _run(lambda: schedules.list_schedules(load_tasks()))
    if as_json:
        print_json([_fields(each) for each in found])
    else:
        print_table(COLUMNS, map(_row, found), dispensable=DISPENSABLE)


@app.command()
def pause(name: Name) -> None:
    """Enqueue a scheduled task no more, until `resume`, over restarts and releases."""
    _run(lambda: schedules.pause(name, load_tasks()))
    print_line(f"{name} is paused")


@app.command()
def resume(name: Name) -> None:
    """Go on with a paused schedule at its next slot."""
    _run(lambda: schedules.resume(name, load_tasks()))
    print_line(f"{name} is active")


@app.command("set")
def set_timing(
    name: Name,
    *,
    cron: Annotated[str | None, typer.Option(help="Five fields, as '0 6 * * mon'.")] = None,
    tz: Annotated[
        str | None, typer.Option(help="Time zone of --cron, as Pacific/Auckland; default: UTC.")
    ] = None,
    every: Annotated[
        timedelta | None,
        typer.Option(parser=age, metavar="AGE", help="Such as 90s, 15m, 2h or 1d."),
    ] = None,
    as_declared: Annotated[
        bool, typer.Option("--as-declared", help="What the task's code declares.")
    ] = False,
) -> None:
    """Change when a task is enqueued; it holds over restarts and releases."""
    timing = _timing(cron, tz, every, as_declared=as_declared)
    _run(lambda: schedules.set_timing(name, timing, load_tasks()))
    print_line(f"{name}: {timing or 'as declared'}")


def _timing(
    cron: str | None, tz: str | None, every: timedelta | None, *, as_declared: bool
) -> Timing | None:
    if [cron is not None, every is not None, as_declared].count(True) != 1:
        raise UsageError("give one of --cron, --every and --as-declared")
    try:
        return declared(int(every.total_seconds()) if every else None, cron, tz)
    except InvalidTiming as error:
        raise UsageError(str(error)) from None


def _fields(schedule: Schedule) -> dict[str, Any]:
    return {key: value for key, value in asdict(schedule).items() if key != "zone"}


def _row(schedule: Schedule) -> tuple[object, ...]:
    def shown(at: datetime | None) -> str:
        return f"{at.astimezone(schedule.zone):%Y-%m-%d %H:%M:%S%z}" if at else ""

    return (
        schedule.name,
        schedule.state,
        schedule.timing or "",
        "" if schedule.timing == schedule.declared else schedule.declared or "",
        shown(schedule.last_slot),
        shown(schedule.next_slot),
    )


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return run_with_database("schedule", work)
