"""The parts of a dashboard: rows of panels, each with queries, a unit and thresholds."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# Grafana's variable for the window of `rate`; the consoles compute it alike.
WINDOW = "$__rate_interval"
QUANTILES = (0.5, 0.95, 0.99)


class Unit(StrEnum):
    """Units by their names in Grafana."""

    SECONDS = "s"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    RATIO = "percentunit"
    PER_SECOND = "cps"
    REQUESTS_PER_SECOND = "reqps"
    COUNT = "short"


class Kind(StrEnum):
    """How a panel shows its series."""

    GRAPH = "timeseries"
    STACK = "stack"
    FIGURE = "stat"


class Level(StrEnum):
    """What a threshold means."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Threshold:
    """A bound; `below` tells that the values under it are the bad ones."""

    value: float
    level: Level = Level.CRITICAL
    below: bool = False


@dataclass(frozen=True)
class Query:
    """A PromQL expression; the legend has labels as `{{name}}`."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A graph, or a tile with the last value of each series."""

    title: str
    unit: Unit
    queries: tuple[Query, ...]
    help: str
    kind: Kind = Kind.GRAPH
    thresholds: tuple[Threshold, ...] = ()
    # Columns of 24, as in Grafana.
    width: int = 8


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A page; `name` is its file and its address."""

    name: str
    title: str
    help: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterable[Panel]:
        """All panels in their order."""
        return (panel for row in self.rows for panel in row.panels)


def dashboard(name: str, title: str, help: str, *rows: Row) -> Dashboard:  # noqa: A002  # as the field
    """Return a page."""
    return Dashboard(name, title, help, rows)


def row(title: str, *panels: Panel) -> Row:
    """Return panels under one heading."""
    return Row(title, panels)


def graph(  # noqa: PLR0913  # all after the queries are options
    title: str,
    unit: Unit,
    help: str,  # noqa: A002  # as the field
    *queries: Query,
    thresholds: tuple[Threshold, ...] = (),
    width: int = 8,
    stacked: bool = False,
) -> Panel:
    """Return a panel of lines, or of stacked areas."""
    kind = Kind.STACK if stacked else Kind.GRAPH
    return Panel(title, unit, queries, help, kind, thresholds, width)


def figure(
    title: str,
    unit: Unit,
    help: str,  # noqa: A002  # as the field
    *queries: Query,
    thresholds: tuple[Threshold, ...] = (),
    width: int = 4,
) -> Panel:
    """Return a panel of tiles."""
    return Panel(title, unit, queries, help, Kind.FIGURE, thresholds, width)


def rate(selector: str, by: str = "") -> str:
    """Return the rate a second of counters, summed by labels."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({selector}[{WINDOW}]))"


def or_zero(expression: str) -> str:
    """Return 0 in the place of nothing: a counter of faults has no series before the first."""
    return f"({expression} or vector(0))"


def quantile(share: float, histogram: str, labels: str = "", by: str = "") -> str:
    """Return a quantile of a histogram by labels."""
    selector = f"{histogram}_bucket{{{labels}}}" if labels else f"{histogram}_bucket"
    grouping = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share:g}, {rate(selector, grouping)})"


def quantiles(histogram: str, labels: str = "") -> tuple[Query, ...]:
    """Return the usual quantiles of a histogram."""
    return tuple(
        Query(quantile(share, histogram, labels), f"p{share * 100:g}") for share in QUANTILES
    )
