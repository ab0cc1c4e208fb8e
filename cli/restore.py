"""`enroll restore`: the database as it was at a time."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.backup import backup_settings
from cli.console import print_json, print_line
from cli.options import AsJson, parse_moment
from infra.backup.choose import Wanted
from infra.backup.restore import restore as restore_folder
from infra.process import signals
from infra.settings import Use

LATEST = "latest"

app = typer.Typer()


@app.command()
def restore(  # noqa: PLR0913  an argument an option
    to: Annotated[
        str, typer.Option(help="A time, as 2026-11-24T08:00:00Z; an age, as 10m; or latest.")
    ],
    into: Annotated[Path, typer.Option(help="A new folder, which becomes a data folder.")],
    *,
    owner: Annotated[
        str | None, typer.Option(help="PostgreSQL's user, if this one is root.")
    ] = None,
    backup: Annotated[
        str | None, typer.Option(help="Begin with this backup; default: the last one before.")
    ] = None,
    timeline: Annotated[
        int | None, typer.Option(min=1, help="Follow this timeline; default: the newest.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="The system identifier, if there are several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Restore the database as it was at a time, into a folder that a server can start in."""
    settings = backup_settings(Use.STORAGE)
    wanted = Wanted(_moment(to), cluster, backup, timeline)

    def report(step: str) -> None:
        if not as_json:
            print_line(step)

    restored = signals.run(
        restore_folder(settings, wanted, into.absolute(), owner=owner, report=report)
    )
    if as_json:
        print_json(asdict(restored))
        return
    last = restored.last_transaction or "none of the WAL"
    print_line(f"{restored.folder} is restored; its last transaction: {last}")


def _moment(text: str) -> datetime | None:
    return None if text == LATEST else parse_moment(text)
