"""`enroll audit`: who did what to what, from where."""

import getpass
import os
import re
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.console import print_json, print_table
from cli.paging import Limit, PageNumber
from infra.db.engine import database
from infra.process import signals
from infra.settings import Use, load_settings, require_database
from models import AuditEntry
from services.audit import trail
from services.audit.trail import Action, Actor

COLUMNS = ("at", "actor", "action", "outcome", "target", "address", "request", "times")
# The first of these is left out first, where a terminal is too narrow.
DISPENSABLE = ("request", "times", "address", "outcome", "at")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NOUNS = {action.partition(".")[0] for action in Action}


def operator() -> Actor:
    """Return who runs this command: `operator:` and their login, and this host."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        # A container's user needs no name.
        login = str(os.getuid())
    return Actor(name=f"operator:{login}", address=socket.gethostname())


def _since(text: str) -> datetime:
    if match := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return datetime.now(UTC) - timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"must be an age, as 90s or 2d, or a time, as 2026-11-24T08:00Z (it is {text!r})"
        ) from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _action(text: str) -> str:
    if text not in _NOUNS and text not in set(Action):
        known = ", ".join(sorted({*_NOUNS, *Action}))
        raise typer.BadParameter(f"must be one of: {known} (it is {text!r})")
    return text


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
        typer.Option("--since", parser=_since, metavar="WHEN", help="An age or a time: 2h."),
    ] = None,
    limit: Limit = 50,
    page: PageNumber = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Show who did what to what, from where; the newest first."""

    async def read() -> Sequence[AuditEntry]:
        async with database(require_database(load_settings(uses=Use.DATABASE)), pool_size=1):
            return await trail.page(
                limit, actor=actor, action=action, since=since, offset=(page - 1) * limit
            )

    found = signals.run(read())
    if as_json:
        print_json([_whole(entry) for entry in found])
    else:
        print_table(COLUMNS, map(_row, found), dispensable=DISPENSABLE)


def _whole(entry: AuditEntry) -> dict[str, Any]:
    fields = AuditEntry._meta.db_fields  # noqa: SLF001  Tortoise names it so
    return {name: getattr(entry, name) for name in sorted(fields)}


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
