"""The metrics of a release from Prometheus, whose targets have the label `revision`."""

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from deploy.observe.prometheus_api import PrometheusAway, Sample, query
from deploy.release.counts import Reading, Totals
from deploy.release.plan import Plan
from deploy.release.ports import MetricsFault

REQUESTS = "http_request_duration_seconds"
# Probes come from no client.
CLIENTS = 'route!~".*/health.*"'
ERRORS = 'status=~"5.."'
# Names the sample, so that one request gets all of them, of one moment.
PART = "part"
INFINITY = "+Inf"


class PrometheusMetrics:
    """Reads counters, not rates: a rate misses the first error of a new series."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._query = _expression(plan.prometheus.job)

    def read(self) -> Reading:
        """Return the counters of both revisions.

        Raises:
            MetricsFault: Prometheus does not answer, or not all of it.

        """
        server = self._plan.prometheus
        try:
            samples = query(server.url, self._query, timeout=server.timeout_seconds)
        except PrometheusAway as error:
            raise MetricsFault(error.message) from None
        return _reading(self._plan, samples)


def _expression(job: str) -> str:
    target = f'job="{job}"'
    clients = f"{target},{CLIENTS}"
    parts = {
        "requests": f"sum by (revision, instance) ({REQUESTS}_count{{{clients}}})",
        "errors": f"sum by (revision, instance) ({REQUESTS}_count{{{clients},{ERRORS}}})",
        "buckets": f"sum by (revision, instance, le) ({REQUESTS}_bucket{{{clients}}})",
        "up": f"up{{{target}}}",
        "age": f"time() - timestamp(up{{{target}}})",
        "started": f'max by (revision) (process_start_time_seconds{{{target},role="parent"}})',
    }
    return " or ".join(
        f'label_replace({expression}, "{PART}", "{name}", "", "")'
        for name, expression in parts.items()
    )


def _reading(plan: Plan, samples: Iterable[Sample]) -> Reading:
    parts: dict[str, list[Sample]] = defaultdict(list)
    for each in samples:
        parts[each.labels.get(PART, "")].append(each)
    stable, canary = plan.stable.revision, plan.canary.revision
    down = [each for each in _of(parts["up"], canary) if each.value != 1]
    if down:
        names = ", ".join(sorted(each.labels["instance"] for each in down))
        raise MetricsFault(f"Prometheus can't scrape {names}")
    bounds = _bounds(parts["buckets"])
    ages = [each.value for name in (stable, canary) for each in _of(parts["age"], name)]
    started = [each.value for each in _of(parts["started"], canary)]
    running = {each.labels.get("revision", "one without the label") for each in parts["up"]}
    return Reading(
        _totals(parts, stable, bounds),
        _totals(parts, canary, bounds),
        bounds,
        max(ages, default=math.inf),
        max(started, default=math.nan),
        tuple(sorted(running - {stable, canary})),
    )


def _of(samples: Iterable[Sample], revision: str) -> list[Sample]:
    return [each for each in samples if each.labels.get("revision") == revision]


def _totals(
    parts: dict[str, list[Sample]], revision: str, bounds: tuple[float, ...]
) -> dict[str, Totals]:
    """Return the counters of the instances that are scraped; zeros of those that answered none."""
    answered, failed = (
        {each.labels["instance"]: each.value for each in _of(parts[name], revision)}
        for name in ("requests", "errors")
    )
    below: dict[str, dict[float, float]] = defaultdict(dict)
    for each in _of(parts["buckets"], revision):
        below[each.labels["instance"]][float(each.labels["le"])] = each.value
    found = {}
    for up in _of(parts["up"], revision):
        if up.value == 1:
            instance = up.labels["instance"]
            known = below[instance] or dict.fromkeys((*bounds, math.inf), 0.0)
            steps = pairwise((0.0, *(known[bound] for bound in sorted(known))))
            buckets = tuple(now - then for then, now in steps)
            counted = answered.get(instance, 0.0), failed.get(instance, 0.0)
            found[instance] = Totals(*counted, buckets)
    return found


def _bounds(samples: Iterable[Sample]) -> tuple[float, ...]:
    found = {float(each.labels["le"]) for each in samples if each.labels["le"] != INFINITY}
    return tuple(sorted(found))
