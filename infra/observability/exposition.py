"""The page that Prometheus reads: what the processes counted, and what is read for each scrape."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from infra.identity import version
from infra.observability.meters import Labels, LabelValues, bounded


@dataclass(frozen=True)
class Reading:
    """A gauge that is read for each scrape: `values` maps label values to figures."""

    name: str
    text: str
    labels: Mapping[str, LabelValues]
    values: Mapping[tuple[str, ...], float]

    def family(self) -> Metric:
        """Return the metric of the exposition; the figures under `_OTHER` are summed."""
        sums: dict[Labels, float] = {}
        for values, figure in self.values.items():
            key = bounded(self.labels, values)
            sums[key] = sums.get(key, 0.0) + figure
        family = GaugeMetricFamily(self.name, self.text, labels=[*self.labels])
        for key, figure in sums.items():
            family.add_metric(key, figure)
        return family


class Families:
    """A collector of metrics that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families


def build_info() -> Metric:
    """Return the versions of this program and of Python."""
    return InfoMetricFamily(
        "build",
        "The version of this program and of its Python.",
        {"version": version(), "python": platform.python_version()},
    )


def exposition(accept: str, *collectors: Collector | Families) -> tuple[bytes, str]:
    """Return the metrics of the collectors in the format that a client accepts, and its type.

    OpenMetrics is only for clients that ask for it; all others get Prometheus's text.
    """
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
