"""`enroll queues`: shows the queues, pauses and resumes them for all workers."""

from dataclasses import asdict
from datetime import timedelta
from math import ceil
from typing import Annotated, NamedTuple

import typer

from cli.console import print_json, print_line, print_table
from cli.database import run_with_database
from cli.options import AsJson, UsageError, age, parse_age
from infra.queue.queues import Limits, QueueControl
from infra.queue.stats import QueueOverview, QueueStats, overview
from services import queues

COLUMNS = ("queue", "state", "at a time", "rate", "queued", "due", "running", "oldest waits")
DISPENSABLE = ("oldest waits",)
# Fits the columns; nobody means more.
MOST = 10_000

app = typer.Typer(help="Show the queues, and steer them on all workers.", no_args_is_help=True)


def queue_name(name: str) -> str:
    """Return the name of a queue that a worker may serve.

    Raises:
        typer.BadParameter: there is none.

    """
    from tasks.registry import queues as known

    if name not in known():
        raise typer.BadParameter(f"must be one of {', '.join(known())} (it is {name!r})")
    return name


class Rate(NamedTuple):
    """So many tasks start in so many seconds."""

    tasks: int
    seconds: int


def _rate_of(text: str) -> Rate:
    tasks, _, unit = text.partition("/")
    seconds = parse_age(f"1{unit}")
    if tasks.isdecimal() and 1 <= int(tasks) <= MOST and seconds:
        return Rate(int(tasks), int(seconds.total_seconds()))
    raise typer.BadParameter(
        f"must be 1 to {MOST} per s, m, h or d, as in 5/s or 100/m (it is {text!r})"
    )


Queue = Annotated[str, typer.Argument(help="The queue.", parser=queue_name, metavar="QUEUE")]


@app.command("list")
def list_queues(*, as_json: AsJson = False) -> None:
    """List the queues: which are paused or limited, and what waits and runs."""
    from tasks.registry import queues as known

    idle = {name: QueueOverview(QueueStats(name), QueueControl(name=name)) for name in known()}
    found, _ = run_with_database("queues", overview)
    shown = idle | {each.control.name: each for each in found}
    listed = [each for _, each in sorted(shown.items())]
    if as_json:
        print_json([asdict(each.control) | asdict(each.stats) for each in listed])
    else:
        print_table(COLUMNS, map(_row, listed), dispensable=DISPENSABLE)


@app.command()
def pause(
    name: Queue,
    duration: Annotated[
        timedelta | None,
        typer.Option(
            "--for", parser=age, metavar="AGE", help="Such as 15m; without: until resume."
        ),
    ] = None,
) -> None:
    """Start no more tasks of a queue, on any worker; running ones go on."""
    run_with_database("queues", lambda: queues.pause(name, duration))
    print_line(f"{name} is paused; `enroll queues resume {name}` ends it")


@app.command()
def resume(name: Queue) -> None:
    """Let tasks of a queue start again."""
    run_with_database("queues", lambda: queues.resume(name))
    print_line(f"{name} is resumed")


@app.command()
def limit(
    name: Queue,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="The most tasks that run at a time.")
    ] = None,
    rate: Annotated[
        Rate | None,
        typer.Option(
            "--rate", parser=_rate_of, metavar="RATE", help="So many start, such as 5/s or 100/m."
        ),
    ] = None,
    burst: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="So many start at once; without: those of a second."),
    ] = None,
) -> None:
    """Limit a queue over all workers; what is not given has no limit."""
    if concurrency is None and rate is None:
        raise UsageError("give --concurrency or --rate, or both")
    if burst and not rate:
        raise UsageError("--burst belongs to --rate")
    limits = Limits(concurrency)
    if rate:
        limits = Limits(concurrency, *rate, burst or ceil(rate.tasks / rate.seconds))
    run_with_database("queues", lambda: queues.limit(name, limits))
    print_line(f"{name} is limited; `enroll queues unlimit {name}` ends it")


@app.command()
def unlimit(name: Queue) -> None:
    """Remove all limits of a queue."""
    run_with_database("queues", lambda: queues.unlimit(name))
    print_line(f"{name} has no limits")


def _row(each: QueueOverview) -> tuple[object, ...]:
    control, stats = each.control, each.stats
    return (
        control.name,
        _state(control),
        control.concurrency or "",
        _rate(control),
        stats.queued,
        stats.due,
        stats.running,
        f"{stats.oldest_due_seconds:.1f} s",
    )


def _state(control: QueueControl) -> str:
    if control.paused_at is None:
        return "starts tasks"
    end = f" until {control.resume_at:%Y-%m-%d %H:%M:%S}" if control.resume_at else ""
    return f"paused{end}"


def _rate(control: QueueControl) -> str:
    if control.rate is None:
        return ""
    return f"{control.rate} in {control.rate_seconds} s, {control.burst} at once"
