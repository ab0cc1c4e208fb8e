"""Dashboards in Grafana's JSON."""

from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shown
from grafana_foundation_sdk.models import dashboard as models

from deploy.observe.dashboards.definition import Dashboard, Kind, Level, Panel, Threshold

_DATASOURCE = models.DataSourceRef("prometheus", "${datasource}")
_COLORS = {Level.WARNING: "orange", Level.CRITICAL: "red"}
_HEIGHTS = {Kind.FIGURE: 4, Kind.GRAPH: 8, Kind.STACK: 8}


def document(source: Dashboard) -> str:
    """Return the JSON of a dashboard."""
    made = (
        dashboard.Dashboard(source.title)
        .uid(f"enrollment-{source.name}")
        .description(source.help)
        .tags(["course-enrollment"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    )
    ids = count(1)
    for row in source.rows:
        made.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made.with_panel(_panel(panel).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _panel(source: Panel) -> timeseries.Panel | stat.Panel:
    panel = _figure(source) if source.kind is Kind.FIGURE else _graph(source)
    panel.title(source.title).description(source.help).datasource(_DATASOURCE)
    panel.unit(source.unit.value).span(source.width).height(_HEIGHTS[source.kind])
    panel.thresholds(_thresholds(source.thresholds))
    for number, query in enumerate(source.queries):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend)
        panel.with_target(target.ref_id(chr(ord("A") + number)).datasource(_DATASOURCE))
    return panel


def _figure(source: Panel) -> stat.Panel:
    several = len(source.queries) > 1 or "{{" in source.queries[0].legend
    text = shown.BigValueTextMode.VALUE_AND_NAME if several else shown.BigValueTextMode.VALUE
    color = shown.BigValueColorMode.VALUE
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().text_mode(text).color_mode(color).reduce_options(last)


def _graph(source: Panel) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(shown.LegendDisplayMode.TABLE)
        .placement(shown.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
        .calcs(["lastNotNull", "max"])
    )
    tooltip = common.VizTooltipOptions().mode(shown.TooltipDisplayMode.MULTI)
    line = shown.GraphTresholdsStyleMode.LINE
    panel = timeseries.Panel().min(0).legend(legend).tooltip(tooltip)
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(line))
    if source.kind is Kind.STACK:
        stacked = common.StackingConfig().mode(shown.StackingMode.NORMAL)
        panel.stacking(stacked).fill_opacity(30)
    return panel


def _thresholds(bounds: tuple[Threshold, ...]) -> dashboard.ThresholdsConfig:
    """Return Grafana's steps: each colors the values from its own up to the next."""
    ordered = sorted(bounds, key=lambda bound: bound.value)
    if not ordered or not ordered[0].below:
        base, steps = "green", [(bound.value, _COLORS[bound.level]) for bound in ordered]
    else:
        colors = [*(_COLORS[bound.level] for bound in ordered), "green"]
        base, steps = (
            colors[0],
            list(zip((each.value for each in ordered), colors[1:], strict=True)),
        )
    first = models.Threshold(value=None, color=base)
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([first, *(models.Threshold(value, color) for value, color in steps)])
    )
