"""Dashboards as console pages of Prometheus; assets/console.js draws them in the browser."""

import json
from collections.abc import Iterable
from html import escape
from string import Template

from deploy.observe.dashboards.definition import Dashboard, Panel, Query

# Prometheus fills in the braces of a console, so the legends have brackets.
_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{{ pathPrefix }}/user/console.css">
</head>
<body data-prefix="{{ pathPrefix }}">
<header>
<nav>$links</nav>
<div id="controls"></div>
</header>
<main>
<h1>$title</h1>
<p>$help</p>
<section id="alerts" hidden></section>
<div id="rows"></div>
</main>
<script type="application/json" id="dashboard">$content</script>
<script src="{{ pathPrefix }}/user/console.js"></script>
</body>
</html>
""")


def page(source: Dashboard, others: Iterable[Dashboard]) -> str:
    """Return the console page of a dashboard, with links to the others."""
    links = " ".join(_link(each, current=each.name == source.name) for each in others)
    rows = [
        {"title": row.title, "panels": [_panel(panel) for panel in row.panels]}
        for row in source.rows
    ]
    # `</` would end the script.
    content = json.dumps(rows, indent=1).replace("</", "<\\/")
    return _PAGE.substitute(
        title=escape(source.title), help=escape(source.help), links=links, content=content
    )


def _link(other: Dashboard, *, current: bool) -> str:
    mark = ' aria-current="page"' if current else ""
    return f'<a href="{other.name}.html"{mark}>{escape(other.title)}</a>'


def _panel(source: Panel) -> dict[str, object]:
    return {
        "title": source.title,
        "help": source.help,
        "kind": source.kind,
        "unit": source.unit,
        "width": source.width,
        "queries": [_query(query) for query in source.queries],
        "thresholds": [
            {"value": each.value, "level": each.level, "below": each.below}
            for each in source.thresholds
        ],
    }


def _query(source: Query) -> dict[str, str]:
    legend = source.legend.replace("{{", "[[").replace("}}", "]]")
    return {"expression": source.expression, "legend": legend}
