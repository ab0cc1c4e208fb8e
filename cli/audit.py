"""`enroll audit`: shows the audit log."""

import getpass
import os
import socket
from datetime import datetime
from typing import Annotated, Any

import typer

from cli.console import print_json, print_table
from cli.database import run_with_database
from cli.options import AsJson, Limit, PageNumber, parse_moment
from models import AuditEntry
from services.audit import trail
from services.audit.trail import Action, Actor

COLUMNS = ("at", "actor", "action", "outcome", "target", "address", "request", "times")
DISPENSABLE = ("request", "times", "address", "outcome", "at")
_NOUNS = {action.partition(".")[0] for action in Action}

app = typer.Typer()


def operator() -> Actor:
    """Return the actor of this command: `operator:` and the login name, at this host."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        # The user of a container may have no name.
        login = str(os.getuid())
    return Actor(name=f"operator:{login}", address=socket.gethostname())


def _action(text: str) -> str:
    if text not in _NOUNS and text not in set(Action):
        known = ", ".join(sorted({*_NOUNS, *Action}))
        raise typer.BadParameter(f"must be one of: {known} (it is {text!r})")
    return text


@app.command()
def show(  # noqa: PLR0913  an argument an option
    actor: Annotated[
        str | None, typer.Option("--actor", help="A username, or operator:LOGIN.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            "--action", parser=_action, metavar="ACTION", help="courses.delete; or courses."
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", parser=parse_moment, metavar="WHEN", help="An age or a time: 2h."),
    ] = None,
    limit: Limit = 50,
    page: PageNumber = 1,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the audit log: actor, action, target and address; the newest entry first."""
    offset = (page - 1) * limit
    entries = run_with_database(
        "audit",
        lambda: trail.page(limit, actor=actor, action=action, since=since, offset=offset),
    )
    if as_json:
        print_json([_fields(entry) for entry in entries])
    else:
        print_table(COLUMNS, map(_row, entries), dispensable=DISPENSABLE)


def _fields(entry: AuditEntry) -> dict[str, Any]:
    names = AuditEntry._meta.db_fields  # noqa: SLF001  Tortoise names it so
    return {name: getattr(entry, name) for name in sorted(names)}


def _row(entry: AuditEntry) -> tuple[object, ...]:
    return (
        f"{entry.at:%Y-%m-%d %H:%M:%S}",
        entry.actor or "",
        entry.action,
        _outcome(entry),
        entry.target or "",
        entry.address or "",
        entry.request_id or "",
        entry.count,
    )


def _outcome(entry: AuditEntry) -> str:
    code = (entry.details or {}).get("code")
    return f"{entry.outcome.value}: {code}" if code else entry.outcome.value
