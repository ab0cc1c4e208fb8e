"""`enroll migrate`: the phases of a schema change, and what the database has of them."""

from typing import Annotated

import typer

from cli.console import print_progress, print_table
from cli.setup import set_up
from infra.db.migration_files import Phase, load, required
from infra.db.migrations import DEADLINE_SECONDS, applied_in
from infra.observability import logs
from infra.observability.events import Event
from infra.process import signals
from infra.settings import Settings, Use, load_settings, require_database, require_direct_database

EXIT_NOT_EXPANDED = 1
HELP = "Bring the database up to date and create the admin if there is none."

app = typer.Typer(help=HELP, invoke_without_command=True)


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
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to try again while a lock is not free.")
    ] = DEADLINE_SECONDS,
) -> None:
    """Apply the migrations of a phase, unless a command follows."""
    if context.invoked_subcommand:
        return
    settings = _settings(Use.DATABASE | Use.ADMIN, skip_migration=False)
    for name in signals.run(set_up(settings, phase, timeout)):
        print_progress(f"applied {name}", Event.MIGRATION_APPLIED, name=name)


@app.command()
def status() -> None:
    """List the migrations; exit code 1 if the database lacks what this release needs."""
    settings = _settings(Use.DATABASE)
    known = signals.run(applied_in(require_direct_database(settings)))
    states = ("pending", "applied")
    print_table(
        ("migration", "phase", "state"),
        ((each.name, each.phase, states[each.name in known]) for each in load()),
    )
    if required() not in known:
        raise typer.Exit(EXIT_NOT_EXPANDED)


def _settings(uses: Use, **overrides: bool) -> Settings:
    settings = load_settings(uses=uses, **overrides)
    require_database(settings)
    logs.configure(settings.log_level, settings.log_format, process="migrate")
    logs.log_uncaught()
    return settings
