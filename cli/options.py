"""Options that several commands share."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

# Typer hides its copy of click; the parent of this public error is click's UsageError.
UsageError: Any = typer.BadParameter.__mro__[1]

Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")]
PageNumber = Annotated[int, typer.Option("--page", min=1, help="Which page of so many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_age(text: str) -> timedelta | None:
    """Return the duration that a text such as 90s, 15m, 2h or 1d means, or None."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    return match and timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def age(text: str) -> timedelta:
    """Return the duration that a text means, as the parser of an option.

    Raises:
        typer.BadParameter: it means none.

    """
    if parsed := parse_age(text):
        return parsed
    raise typer.BadParameter(f"must be a number and s, m, h or d, as in 90s or 2h (it is {text!r})")


def parse_moment(text: str) -> datetime:
    """Return the time that a text means: an age before now, or a time, of UTC without an offset.

    Raises:
        typer.BadParameter: it is neither.

    """
    if age := parse_age(text):
        return datetime.now(UTC) - age
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"must be an age, as 90s or 2d, or a time, as 2026-11-24T08:00Z (it is {text!r})"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
