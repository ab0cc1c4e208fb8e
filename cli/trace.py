"""`enroll trace`: shows what a request or task did, in all processes."""

import http.client
import json
from typing import Annotated, Any, cast
from urllib.parse import quote, urlsplit

import typer
from rich.text import Text
from rich.tree import Tree

from cli.console import print_json, terminal
from cli.options import AsJson
from infra.settings import SettingsError, Use, load_settings
from infra.text import escape_controls

TIMEOUT_SECONDS = 10.0
_OK = 200
_MILLISECOND = 1_000_000

app = typer.Typer()


class NoTraces(SettingsError):
    """The traces can't be read; the message says why"""


@app.command()
def show(
    any_id: Annotated[str, typer.Argument(metavar="ID", help="Of a request, task or trace.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show the traces of a request, a task or a trace: each span, its duration, its error."""
    settings = load_settings(uses=Use(0))
    traces = _fetch(settings.otel_exporter_otlp_endpoint, any_id)
    if as_json:
        print_json(traces)
        return
    if not traces:
        raise NoTraces(f"no span of the last hour has the id {any_id!r}")
    console = terminal()
    for tops in traces:
        console.print(_tree(tops))


def _fetch(address: str | None, any_id: str) -> list[list[dict[str, Any]]]:
    """Return the traces of an id from the receiver of `make run OBSERVE=1`.

    Raises:
        NoTraces: there is none, it does not answer, or it is another program.

    """
    if address is None:
        raise NoTraces(
            "nothing is traced: OTEL_EXPORTER_OTLP_ENDPOINT is not set, and no"
            " `make run OBSERVE=1` is running"
        )
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"/traces.json?id={quote(any_id, safe='')}")
        response = connection.getresponse()
        body = response.read()
        found: Any = json.loads(body) if response.status == _OK else None
    except (OSError, http.client.HTTPException) as error:
        raise NoTraces(f"the receiver at {address} does not answer: {error}") from None
    except ValueError:
        found = None
    finally:
        connection.close()
    if not isinstance(found, list):
        raise NoTraces(f"{address} is not the receiver of `make run`: look at its own pages")
    return cast("list[list[dict[str, Any]]]", found)


def _tree(tops: list[dict[str, Any]]) -> Tree:
    whole = Tree(Text(f"trace {tops[0]['trace_id']}", style="bold"))
    for link in {link["trace_id"] for top in tops for link in top["links"]}:
        whole.add(Text(f"caused by trace {escape_controls(link)}", style="dim"))
    for top in tops:
        _add(whole, top)
    return whole


def _add(above: Tree, span: dict[str, Any]) -> None:
    line = Text(escape_controls(span["name"]))
    took = (span["finish"] - span["start"]) / _MILLISECOND
    line.append(f"  {took:,.1f} ms", style="cyan")
    line.append(f"  {escape_controls(span['process'])}", style="dim")
    if span["is_orphan"]:
        line.append("  (its parent did not come)", style="dim")
    if span["error"] is not None:
        line.append(f"  {escape_controls(span['error'])}", style="bold red")
    branch = above.add(line)
    for below in span["below"]:
        _add(branch, below)
