"""`enroll migrate`: the phases of a schema change, and what the database has of them."""

from enum import StrEnum
from typing import Annotated

import typer

from cli.console import print_progress, print_table
from cli.setup import set_up
from infra.db.migration_files import Phase, Tables, last_expanding, load, of_queue
from infra.db.migrations import DEADLINE_SECONDS, applied_in
from infra.db.migrations import migrate as apply
from infra.observability import logs
from infra.observability.events import Event
from infra.process import signals
from infra.settings import Settings, Use, load_settings, require_database, require_direct_database

EXIT_NOT_EXPANDED = 1
HELP = "Bring the database up to date and create the admin if there is none."

app = typer.Typer(help=HELP, invoke_without_command=True)


class Only(StrEnum):
    """What can be migrated by itself."""

    QUEUE = "queue"


@app.callback(help=HELP)
def migrate(
    context: typer.Context,
    phase: Annotated[
        Phase | None,
        typer.Option(
            help="expand: before this release starts, while the one before serves; "
            "contract: after the last process of that has ended. Default: both."
        ),
    ] = None,
    only: Annotated[
        Only | None,
        typer.Option(
            help="The tables of the queue alone, for a project of its own; with ?search_path=NAME "
            "in the URL they are in a schema of their own. Default: all tables."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to try again while a lock is not free.")
    ] = DEADLINE_SECONDS,
) -> None:
    """Apply the migrations of a phase, unless a command follows."""
    context.obj = Tables.QUEUE if only else Tables.ALL
    if context.invoked_subcommand:
        return
    if only:
        url = require_direct_database(_settings(Use.DATABASE))
        work = apply(url, phase, tables=Tables.QUEUE, deadline_seconds=timeout)
    else:
        settings = _settings(Use.DATABASE | Use.ADMIN, skip_migration=False)
        work = set_up(settings, phase, timeout)
    for name in signals.run(work):
        print_progress(f"applied {name}", Event.MIGRATION_APPLIED, name=name)


@app.command()
def status(context: typer.Context) -> None:
    """List the migrations; exit code 1 if the database lacks what this release needs."""
    settings = _settings(Use.DATABASE)
    known = signals.run(applied_in(require_direct_database(settings), context.obj))
    migrations = of_queue(load()) if context.obj is Tables.QUEUE else load()
    states = ("pending", "applied")
    print_table(
        ("migration", "phase", "state"),
        ((each.name, each.phase, states[each.name in known]) for each in migrations),
    )
    if last_expanding(migrations) not in known:
        raise typer.Exit(EXIT_NOT_EXPANDED)


def _settings(uses: Use, **overrides: bool) -> Settings:
    settings = load_settings(uses=uses, **overrides)
    require_database(settings)
    logs.configure(settings.log_level, settings.log_format, process="migrate")
    logs.log_uncaught()
    return settings
