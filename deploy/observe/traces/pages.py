"""The pages of traces: a list, and one trace as a waterfall. All texts are escaped; no script."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from deploy.observe.traces.store import NANOSECONDS, Span
from deploy.observe.traces.tree import Node, tree, walk

_STYLE = """
:root { color-scheme: light dark; --bar: #3b7dd8; --bad: #d0392b; --line: #8884; --dim: #8889 }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 90rem; padding: 0 1rem }
h1 { font-size: 1.25rem } h2 { font-size: 1rem; margin: 1.6rem 0 .4rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap }
td.bars { width: 45%; padding: 0 } .track { position: relative; height: 1.2rem }
.bar { position: absolute; top: .25rem; height: .7rem; min-width: 2px; border-radius: 2px; background: var(--bar) }
.bad .bar { background: var(--bad) } .bad td:first-child, .error { color: var(--bad) }
.dim { color: #888 } .number { text-align: right; font-variant-numeric: tabular-nums }
form { margin: 1rem 0 } input { font: inherit; padding: .2rem .4rem; width: 24rem }
details summary { cursor: pointer } pre { white-space: pre-wrap; margin: .2rem 0; font-size: 12px }
"""  # noqa: E501  a style sheet
_FORM = """
<form action="/traces"><label>Id of a request, task or trace
<input name="id" value="{value}" autocomplete="off"></label> <button>Show</button></form>
"""


def recent_page(rows: Sequence[sqlite3.Row]) -> str:
    """Return the page of the latest traces."""
    lines = []
    for row in rows:
        failed = ' class="bad"' if row["error"] is not None else ""
        lines.append(
            f'<tr{failed}><td><a href="/traces?id={row["trace_id"]}">{escape(row["name"])}</a></td>'
            f"<td>{escape(row['process'])}</td><td>{_time(row['start'])}</td>"
            f'<td class="number">{milliseconds(row["finish"] - row["start"])}</td>'
            f"<td>{escape(row['error'] or '')}</td>"
            f'<td class="dim">{escape(row["request_id"] or "")}</td></tr>'
        )
    head = "".join(
        f"<th>{each}</th>" for each in ("trace", "process", "began", "took", "error", "request")
    )
    body = f"<table><tr>{head}</tr>{''.join(lines)}</table>" if lines else "<p>No trace yet.</p>"
    return _page("Traces of the last hour", _FORM.format(value="") + body)


def traces_page(any_id: str, traces: Sequence[list[Span]]) -> str:
    """Return the page of the traces of an id."""
    parts = [_FORM.format(value=escape(any_id)), '<p><a href="/traces">latest traces</a></p>']
    if not traces:
        parts.append("<p>No span of the last hour has this id.</p>")
    parts += map(_waterfall, traces)
    return _page(f"Traces of {any_id}", "".join(parts))


def _waterfall(spans: list[Span]) -> str:
    begin = min(span.start for span in spans)
    whole = max(1, max(span.finish for span in spans) - begin)
    rows = [_row(depth, node, begin, whole) for depth, node in walk(tree(spans))]
    return (
        f"<h2>Trace {spans[0].trace_id}, {_time(begin)}, {milliseconds(whole)}</h2>"
        f"{_links(spans)}<table><tr><th>span</th><th>process</th><th>took</th>"
        f"<th>timeline</th></tr>{''.join(rows)}</table>"
    )


def _links(spans: list[Span]) -> str:
    linked = {link["trace_id"] for span in spans for link in span.links}
    shown = ", ".join(f'<a href="/traces?id={escape(each)}">{escape(each)}</a>' for each in linked)
    return f"<p>caused by trace {shown}</p>" if shown else ""


def _row(depth: int, node: Node, begin: int, whole: int) -> str:
    span = node.span
    left = 100 * (span.start - begin) / whole
    width = min(100 - left, 100 * (span.finish - span.start) / whole)
    notes = f' <span class="error">{escape(span.error)}</span>' if span.error is not None else ""
    if node.is_orphan:
        notes += ' <span class="dim">(its parent did not come)</span>'
    about = "\n".join(f"{key} = {value}" for key, value in sorted(span.attributes.items()))
    name = escape(span.name)
    if about:
        name = f"<details><summary>{name}{notes}</summary><pre>{escape(about)}</pre></details>"
    else:
        name += notes
    failed = ' class="bad"' if span.error is not None else ""
    return (
        f'<tr{failed}><td style="padding-left:{0.5 + 1.2 * depth:.1f}rem">{name}</td>'
        f'<td class="dim">{escape(span.process)}</td>'
        f'<td class="number">{milliseconds(span.finish - span.start)}</td>'
        f'<td class="bars"><div class="track"><div class="bar" '
        f'style="left:{left:.2f}%;width:{width:.2f}%"></div></div></td></tr>'
    )


def milliseconds(nanoseconds: int) -> str:
    """Return a duration for people."""
    return f"{nanoseconds / 1e6:,.1f} ms"


def _time(nanoseconds: int) -> str:
    return f"{datetime.fromtimestamp(nanoseconds / NANOSECONDS, UTC):%H:%M:%S.%f}"[:-3]


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
