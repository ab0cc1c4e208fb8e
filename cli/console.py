"""What commands print: text from outside made harmless, and tables that never cut a letter."""

import sys
from collections.abc import Iterable, Sequence

import orjson
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from infra.text import harmless, harmless_json, harmless_lines

# A pipe or a file takes lines of any length.
_UNBOUNDED = 100_000


def say(message: object, *, to_stderr: bool = False) -> None:
    """Print a message of which parts may come from outside; its lines after the first indented."""
    typer.echo(harmless_lines(message), err=to_stderr)


def print_json(content: object) -> None:
    """Print JSON, for scripts."""
    document = orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2).decode()
    typer.echo(harmless_json(document))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, dispensable: Sequence[str] = ()
) -> None:
    """Print a table; on a terminal that is too narrow without the first of these columns."""
    console = terminal()
    console.print(table(console, columns, rows, dispensable=dispensable))


def terminal() -> Console:
    """Return standard output, as wide as it is; as wide as it has to be, if it is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED)


def table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    dispensable: Sequence[str] = (),
) -> Table:
    """Return a table of texts from anywhere, as wide as the console or narrower.

    Columns that have no room are left out whole, the first of `dispensable` first. What is too
    long even then goes on in the next line.
    """
    cells = [[harmless(cell) for cell in row] for row in rows]
    shown = list(columns)
    for name in (*(each for each in dispensable if each in columns), None):
        made = Table()
        for column in shown:
            made.add_column(column, overflow="fold")
        for row in cells:
            # A `Text` is taken to the letter: a string may hold markup.
            given = dict(zip(columns, row, strict=True))
            made.add_row(*(Text(given[column]) for column in shown))
        needed = Measurement.get(console, console.options.update(max_width=_UNBOUNDED), made)
        if name is None or needed.maximum <= console.width:
            break
        shown.remove(name)
    return made
