"""Output of commands: control characters escaped, tables that never truncate a cell."""

import sys
from collections.abc import Iterable, Sequence

import orjson
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from infra.observability import logs
from infra.observability.events import Event
from infra.text import escape_controls, escape_json, escape_lines

log = logs.get_logger(__name__)

# A pipe or a file takes lines of any length.
_UNBOUNDED = 100_000


def print_line(message: object, *, to_stderr: bool = False) -> None:
    """Print a message with untrusted parts; lines after the first are indented."""
    typer.echo(escape_lines(message), err=to_stderr)


def print_error(message: str) -> None:
    """Print an error; with LOG_FORMAT=json it is a log line."""
    if logs.is_json_explicit():
        log.error(Event.COMMAND_FAILED, message=message)
    else:
        print_line(f"enroll: {message}", to_stderr=True)


def print_progress(sentence: str, event: Event, **fields: object) -> None:
    """Print what a command without a result has done; with LOG_FORMAT=json it is a log line."""
    if logs.is_json_explicit():
        log.info(event, **fields)
    else:
        print_line(sentence)


def print_json(content: object) -> None:
    """Print JSON, for scripts."""
    document = orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2).decode()
    typer.echo(escape_json(document))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, dispensable: Sequence[str] = ()
) -> None:
    """Print a table; a terminal that is too narrow shows it without the first of `dispensable`."""
    console = terminal()
    console.print(table(console, columns, rows, dispensable=dispensable))


def terminal() -> Console:
    """Return standard output: of the terminal's width, or unbounded if it is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED)


def table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    dispensable: Sequence[str] = (),
) -> Table:
    """Return a table of untrusted texts that fits into the console.

    Columns without space are omitted, the first of `dispensable` first. Cells that are still too
    long are folded.
    """
    cells = [[escape_controls(cell) for cell in row] for row in rows]
    shown = list(columns)
    for name in (*(each for each in dispensable if each in columns), None):
        result = Table()
        for column in shown:
            result.add_column(column, overflow="fold")
        for row in cells:
            # rich parses markup in a string, not in a `Text`.
            texts = dict(zip(columns, row, strict=True))
            result.add_row(*(Text(texts[column]) for column in shown))
        needed = Measurement.get(console, console.options.update(max_width=_UNBOUNDED), result)
        if name is None or needed.maximum <= console.width:
            break
        shown.remove(name)
    return result
