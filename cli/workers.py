"""`enroll workers`: shows the running workers, and drains a queue on one of them."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from cli.console import print_error, print_json, print_line, print_table
from cli.options import AsJson
from infra.observability import logs
from infra.settings import Use, load_settings

EXIT_NOT_DRAINED = 3
POLL_SECONDS = 0.5

app = typer.Typer(help="Show the running workers, and steer one.", no_args_is_help=True)

Worker = Annotated[str, typer.Argument(help="Its name, such as images@host.")]
Queue = Annotated[str, typer.Option(help="The queue.")]
AnyQueue = Annotated[str, typer.Option(help="The queue; without: all that it takes tasks of.")]


@app.command("list")
def list_workers(*, as_json: AsJson = False) -> None:
    """List the workers that answer, with their queues and the tasks that they hold."""
    _configure()
    from worker.control import running_workers

    found = running_workers()
    if as_json:
        print_json([asdict(each) for each in found])
        return
    rows = ((each.name, ", ".join(each.queues), str(sum(each.held.values()))) for each in found)
    print_table(("worker", "queues", "tasks"), rows)


@app.command()
def drain(
    worker: Worker,
    queue: AnyQueue = "",
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 300,
) -> None:
    """Let a worker take no more tasks of its queues, and wait until it has none.

    Exit code 3 if late. Other workers go on with the queues. It lasts until `resume`, or a restart
    of the worker.
    """
    _configure()
    from worker.control import held_tasks, queues_of, stop_consuming

    queues = [queue] if queue else queues_of(worker)
    shown = ", ".join(queues)
    for each in queues:
        stop_consuming(worker, each)
    deadline = time.monotonic() + timeout
    while held := sum(held_tasks(worker, each) for each in queues):
        if time.monotonic() >= deadline:
            print_error(f"{worker} still has {held} tasks of {shown} after {timeout:g} s")
            raise typer.Exit(EXIT_NOT_DRAINED)
        time.sleep(min(POLL_SECONDS, timeout))
    print_line(f"{worker} has no task of {shown}, and takes no more")


@app.command()
def resume(worker: Worker, queue: Queue) -> None:
    """Let a worker take tasks of a queue again."""
    _configure()
    from worker.control import consume

    consume(worker, queue)
    print_line(f"{worker} takes tasks of {queue}")


def _configure() -> None:
    settings = load_settings(uses=Use.BROKER)
    logs.configure_command(settings.log_level, settings.log_format, process="workers")
