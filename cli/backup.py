"""`enroll backup`: backups of the database, and the WAL between them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import print_json, print_line, print_progress, print_table
from cli.options import AsJson, UsageError
from infra.backup import base_backup, retention, wal
from infra.backup.archive import open_archive
from infra.backup.record import Backup, Kind
from infra.db.engine import database
from infra.observability import logs
from infra.observability.events import Event
from infra.process import signals
from infra.settings import Settings, Use, load_settings, require_database
from infra.storage import open_storage
from services.catalogue.housekeeping import FaultyObject, check_objects

EXIT_FAULTY = 1
COLUMNS = ("id", "kind", "parent", "ended", "MB", "timeline", "cluster", "PostgreSQL")
DISPENSABLE = ("PostgreSQL", "cluster", "timeline", "parent")

app = typer.Typer(help="Back up the database, and check what the archive has.")


@app.callback(invoke_without_command=True)
def back_up(
    context: typer.Context,
    *,
    full: Annotated[bool, typer.Option("--full", help="All of the database.")] = False,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="What changed since the last backup.")
    ] = False,
) -> None:
    """Make a backup, incremental where that is possible and due; delete those that are too old."""
    if context.invoked_subcommand is not None:
        return
    if full and incremental:
        raise UsageError("give one of --full and --incremental")
    settings = backup_settings(Use.DATABASE | Use.STORAGE)
    kind = Kind.FULL if full else Kind.INCREMENTAL if incremental else None

    async def make() -> tuple[Backup, int]:
        return await base_backup.create(settings, kind), await retention.prune(settings)

    backup, deleted = signals.run(make())
    print_progress(
        f"{backup.kind} backup {backup.id}: {backup.size / 1e6:.1f} MB; {deleted} old ones deleted",
        Event.BACKUP_MADE,
        backup=backup.id,
        kind=backup.kind,
        bytes=backup.size,
        deleted=deleted,
    )


@app.command("list")
def list_backups(*, as_json: AsJson = False) -> None:
    """List the backups, the oldest first."""
    archive = open_archive(backup_settings(Use.STORAGE))
    backups = signals.run(archive.backups())
    if as_json:
        print_json([asdict(each) for each in backups])
    else:
        print_table(COLUMNS, map(_row, backups), dispensable=DISPENSABLE)


@app.command()
def check(*, as_json: AsJson = False) -> None:
    """Look in the store for every image that the database names; exit with 1 if one is faulty."""
    settings = backup_settings(Use.DATABASE | Use.STORAGE)

    async def compare() -> tuple[int, list[FaultyObject]]:
        async with database(require_database(settings), pool_size=1):
            return await check_objects(open_storage(settings))

    checked, faulty = signals.run(compare())
    if as_json:
        print_json({"objects": checked, "faulty": [asdict(each) for each in faulty]})
    else:
        for each in faulty:
            stored = "missing" if each.stored_size is None else f"{each.stored_size} bytes"
            print_line(f"{each.key}: {stored}, and the database names {each.size} bytes")
        print_line(f"{checked} objects, {len(faulty)} faulty")
    if faulty:
        raise typer.Exit(EXIT_FAULTY)


@app.command()
def archive_wal(
    path: Annotated[Path, typer.Argument(help="%p of archive_command.")],
) -> None:
    """Archive a file of WAL; PostgreSQL's archive_command calls it in its data folder."""
    signals.run(wal.archive_file(backup_settings(Use.STORAGE), path))


def backup_settings(uses: Use) -> Settings:
    """Return the settings of a command, and configure its log."""
    settings = load_settings(uses=uses)
    logs.configure_command(settings.log_level, settings.log_format, process="backup")
    return settings


def _row(backup: Backup) -> tuple[Any, ...]:
    return (
        backup.id,
        backup.kind,
        backup.parent or "",
        f"{backup.ended_at:%Y-%m-%d %H:%M:%S}",
        f"{backup.size / 1e6:.1f}",
        backup.timeline,
        backup.cluster,
        backup.major,
    )
