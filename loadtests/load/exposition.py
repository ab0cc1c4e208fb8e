"""Readings of /metrics, and the differences of two.

Every figure is None where the service doesn't measure it: nothing is taken for zero.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from infra.settings import default_metrics_port

DURATIONS = "http_request_duration_seconds"
_PARAMETER_TYPE = re.compile(r":\w+>")
HITS = frozenset({"memory", "redis"})

Labels = tuple[tuple[str, str], ...]


def origin_of_metrics(base_url: str) -> str:
    """Return where an API shows its metrics: METRICS_ORIGIN, or what its settings make of its port.

    Raises:
        ValueError: the address has no port, and METRICS_ORIGIN is not set.

    """
    if given := os.environ.get("METRICS_ORIGIN"):
        return given.rstrip("/")
    parts = urlsplit(base_url)
    if parts.port is None:
        message = f"{base_url} has no port: set METRICS_ORIGIN to where its metrics are"
        raise ValueError(message)
    return f"{parts.scheme}://{parts.hostname}:{default_metrics_port(parts.port)}"


@dataclass(frozen=True)
class Reading:
    """One reading of /metrics: values by name and labels."""

    values: dict[str, dict[Labels, float]]

    @classmethod
    def of(cls, text: str) -> Reading:
        """Parse Prometheus's text format."""
        values: dict[str, dict[Labels, float]] = defaultdict(dict)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
        return cls(dict(values))

    def total(self, name: str) -> float | None:
        """Return the sum over all labels: of all processes, queues, states."""
        found = self.values.get(name)
        return sum(found.values()) if found else None

    def largest(self, name: str) -> float | None:
        """Return the largest value over all labels."""
        found = self.values.get(name)
        return max(found.values()) if found else None

    def grown(self, before: Reading, name: str) -> dict[Labels, float]:
        """Return by how much each counter grew; a process that began anew counts from zero."""
        old = before.values.get(name, {})
        new = self.values.get(name, {})
        return {labels: n - old[labels] if n >= old.get(labels, inf) else n
                for labels, n in new.items()}  # fmt: skip


def hit_ratio(before: Reading, after: Reading) -> float | None:
    """Return the share of cached reads that the database did not answer."""
    by_tier: dict[str, float] = defaultdict(float)
    for labels, count in after.grown(before, "cache_requests_total").items():
        by_tier[dict(labels).get("tier", "")] += count
    asked = sum(by_tier.values())
    return sum(by_tier[tier] for tier in HITS) / asked if asked else None


def server_percentile(
    before: Reading, after: Reading, method: str, route: str, percent: float
) -> float | None:
    """Return the milliseconds by the service's histogram, linear within a bucket.

    Infinity if it is above the last bound of the histogram.
    """
    buckets: dict[float, float] = defaultdict(float)
    for labels, count in after.grown(before, f"{DURATIONS}_bucket").items():
        known = dict(labels)
        # Sanic's routes name the parameters' types: <course_id:str>.
        shown = _PARAMETER_TYPE.sub(">", known.get("route", ""))
        if (known.get("method"), shown) == (method, route):
            buckets[float(known["le"])] += count
    total = buckets.get(inf, 0)
    if not total:
        return None
    rank = total * percent / 100
    lower, below = 0.0, 0.0
    for upper, count in sorted(buckets.items()):
        if count >= rank:
            if upper == inf:
                return inf
            return 1000 * (lower + (upper - lower) * (rank - below) / (count - below))
        lower, below = upper, count
    return inf


def largest(readings: Iterable[Reading], name: str) -> float | None:
    """Return the largest value in any reading, of any label."""
    found = [value for each in readings if (value := each.largest(name)) is not None]
    return max(found, default=None)


def largest_total(readings: Iterable[Reading], name: str) -> float | None:
    """Return the largest sum over the labels in any reading."""
    found = [value for each in readings if (value := each.total(name)) is not None]
    return max(found, default=None)
