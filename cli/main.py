"""`enroll`: the service's command line. Each command imports what it needs when it runs."""

import logging
import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from cli.audit import operator
from cli.console import print_error, print_json, print_line, print_progress
from cli.groups import CommandGroup
from cli.options import UsageError
from infra import error_messages
from infra.db.engine import PoolerAnswersError
from infra.db.migration_files import MigrationError
from infra.errors import DeclaredError
from infra.identity import version
from infra.observability import logs
from infra.observability.events import Event
from infra.process import signals
from infra.settings import (
    Settings,
    SettingsError,
    Use,
    are_json_logs_set,
    load_settings,
    require_database,
)
from infra.tls import management_api
from services.audit import trail

EXIT_FAILED = 1
EXIT_USAGE = 2

app = typer.Typer(
    cls=CommandGroup,
    help="Run and operate the course enrollment service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  Typer's callback
    if wanted:
        print_line(f"enroll {version()}")
        raise typer.Exit


@app.callback()
def _enroll(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Run and operate the course enrollment service."""


@app.command()
def api() -> None:
    """Serve the HTTP API; expands the database's schema first, unless SKIP_MIGRATION."""
    settings = _settings("api", Use.ALL)
    from api.protocol.accept import listening
    from api.protocol.server import serve
    from cli.connection_budget import check_budget
    from cli.setup import check, refuse_default_password, set_up
    from infra.db.migration_files import Phase
    from tasks.registry import load_tasks

    # Before the fork, so that all processes validate the arguments of the tasks that they enqueue.
    load_tasks()

    async def make_ready() -> None:
        await check_budget(settings)
        # Processes of the release before may still serve.
        await set_up(settings, Phase.EXPAND)
        await refuse_default_password(settings)

    def prepare() -> None:
        signals.run(make_ready())

    with listening(settings) as sockets:
        check(settings)
        sys.exit(serve(settings, sockets, prepare, report_error))


@app.command()
def worker(  # noqa: PLR0913, PLR0917  each is an option of the command line
    queues: Annotated[str, typer.Option(help="Comma list; default: all.")] = "",
    exclude_queues: Annotated[str, typer.Option(help="Comma list of queues not to serve.")] = "",
    concurrency: Annotated[int, typer.Option(min=0, help="Processes; 0: as in settings.")] = 0,
    prefetch: Annotated[
        int, typer.Option(min=1, help="Messages a process may hold, the running one included.")
    ] = 1,
    name: Annotated[str, typer.Option(help="Its name, if a machine has several alike.")] = "",
    task_app: Annotated[
        str,
        typer.Option(
            "--app", help="The module of an application with tasks of its own; default: TASK_APP."
        ),
    ] = "",
) -> None:
    """Run tasks, and relay them from the database to the broker."""
    if task_app:
        # Also for the processes that are forked.
        os.environ["TASK_APP"] = task_app
    settings = _settings("worker", Use.QUEUE)
    if settings.task_app is None:
        _check_courses()
    from worker.app import app as celery
    from worker.metrics_process import served

    arguments = [
        "worker",
        "--pool=prefork",
        f"--concurrency={concurrency or settings.worker_concurrency}",
        f"--prefetch-multiplier={prefetch}",
        f"--loglevel={settings.log_level}",
    ]
    # Flower and `enroll workers` tell the workers of one machine apart by their names.
    if queues:
        arguments.append(f"--queues={queues}")
        name = name or queues.replace(",", "-")
    elif exclude_queues:
        arguments.append(f"--exclude-queues={exclude_queues}")
        name = name or f"not-{exclude_queues.replace(',', '-')}"
    if name:
        arguments.append(f"--hostname={name}@%h")
    with served(settings):
        celery.worker_main(arguments)


def _check_courses() -> None:
    """Check what the tasks of courses need, and those of an application don't."""
    settings = load_settings(uses=Use.WORKER)
    from cli.setup import check, refuse_default_password
    from infra.db.engine import UNUSABLE

    check(settings)
    # A worker also starts while the database is down or not migrated; then no account can log in.
    with suppress(*UNUSABLE):
        signals.run(refuse_default_password(settings))


@app.command()
def flower() -> None:
    """Serve Flower on FLOWER_PORT, the operators' view of the workers."""
    settings = _settings("flower", Use.BROKER | Use.FLOWER)
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    from worker.app import app as celery

    # Flower leaves only this handler without authentication.
    Metrics.get = authenticated(Metrics.get)
    arguments = [
        "flower",
        f"--address={settings.host}",
        f"--port={settings.flower_port}",
        f"--logging={settings.log_level.lower()}",
        "--tasks-columns=name,uuid,state,kwargs,received,runtime,worker",
    ]
    if api := management_api(settings.broker or ""):
        arguments.append(f"--broker-api={api}")
    if settings.flower_basic_auth:
        arguments.append(f"--basic-auth={settings.flower_basic_auth.get_secret_value()}")
    try:
        celery.start(arguments)
    except OSError as error:
        if not error_messages.is_address_error(error):
            raise
        sentence = error_messages.address_message(
            "HOST", "FLOWER_PORT", settings.host, settings.flower_port, error
        )
        raise SettingsError(sentence) from None


@app.command()
def demo() -> None:
    """Fill an empty catalogue with a dozen courses and their pictures."""
    from cli.demo import create_demo_courses

    count = signals.run(create_demo_courses(_settings("demo", Use.DATABASE)))
    sentence = f"{count} demo courses created" if count else "there are courses already"
    print_progress(sentence, Event.DEMO_COURSES_CREATED, courses=count)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from api import app as _  # noqa: F401  its import declares the operations
    from api.endpoint.openapi import build_document

    document = build_document()
    print_json(document)


@app.command()
def seed(
    courses: Annotated[int, typer.Option(min=0, max=1_000_000, help="How many to add.")] = 1_000,
    enrollments: Annotated[
        int, typer.Option(min=0, max=100_000_000, help="How many to add, over these courses.")
    ] = 10_000,
) -> None:
    """Fill a database by COPY, for load tests."""
    from cli.seed import seed as fill

    signals.run(fill(_settings("seed", Use.DATABASE), courses, enrollments))


def _settings(process: str, uses: Use, **overrides: Any) -> Settings:
    settings = load_settings(uses=uses, **overrides)
    if Use.DATABASE in uses:
        require_database(settings)
    logs.configure(settings.log_level, settings.log_format, process=process)
    logs.log_uncaught()
    return settings


def main() -> None:
    """Run the command line; print errors on standard error, a line each, without a traceback."""
    try:
        signals.raise_on_signal()
        if are_json_logs_set():
            logs.replace_sentences()
        trail.set_actor(operator())
        code = app(standalone_mode=False)
    except BaseException as error:  # noqa: BLE001  also a signal's, and SystemExit
        code = report_error(error)
    # An exception within the interpreter's own end would be an error that nothing catches.
    signals.restore_defaults()
    if signum := signals.received_signal():
        logs.drain()
        signals.exit_by_signal(signum)
    sys.exit(code)


def report_error(error: BaseException) -> int:
    """Print or log an error, a line for each fault, and return the exit code."""
    if signals.received_signal() or isinstance(error, KeyboardInterrupt):
        return EXIT_FAILED  # a requested end is no error
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_FAILED
    message, code = _fault(error)
    for line in message.splitlines():
        print_error(line)
    return code


def _fault(error: BaseException) -> tuple[str, int]:
    match error:
        case UsageError():
            return error.format_message(), EXIT_USAGE
        case SettingsError() | PoolerAnswersError():
            return str(error), EXIT_USAGE
        case typer.Abort() | MigrationError():
            return str(error) or "aborted", EXIT_FAILED
        case DeclaredError():
            return error.message, EXIT_FAILED
    if isinstance(error, error_messages.DATABASE_ERRORS):
        return error_messages.describe(error), EXIT_FAILED
    logging.getLogger(__name__).debug(Event.UNEXPECTED_ERROR, exc_info=error)
    return f"unexpected error: {error!r}; LOG_LEVEL=DEBUG shows the traceback", EXIT_FAILED
