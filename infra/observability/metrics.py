"""What Prometheus reads: one answer for all processes of an instance."""

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from infra.observability.meters import Counter, Gauge, Histogram, LabelValues, Meter, Totals

CONTENT_TYPE = CONTENT_TYPE_LATEST
# What Sanic calls the method of a request whose head never came; a path that no route has; and
# the status, as nginx names it, of an answer that nobody is there to read.
NO_METHOD, NO_ROUTE, CLIENT_GONE = "NONE", "unknown", 499
# More queues than an installation has; their names come from the database.
MOST_QUEUES = 50

# Cached reads take less than a tenth of a millisecond.
_BUCKETS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0),
)

# The application adds its own.
routes = LabelValues(NO_ROUTE)
queues = LabelValues(learned=MOST_QUEUES)

_requests = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to its answer.",
    _BUCKETS,
    method=LabelValues(*HTTPMethod, NO_METHOD),
    route=routes,
    status=LabelValues(*(status.value for status in HTTPStatus), CLIENT_GONE),
)
_refusals = Counter(
    "rate_limit_refusals_total",
    "Requests answered with 429.",
    kind=LabelValues("reads", "writes", "uploads", "logins", "failed_logins", "streams"),
)
_limits_alone = Counter(
    "rate_limit_fallback_total", "Questions to the limits that a process answered without Redis."
)
_dropped_readers = Counter(
    "slow_readers_dropped_total", "Connections closed because the client did not read."
)
_cache_requests = Counter(
    "cache_requests_total",
    "Cached reads, by where the answer came from.",
    answer=LabelValues("memory", "redis", "database"),
)
_cache_errors = Counter("cache_errors_total", "Calls that the shared cache failed; reads went on.")
_cache_changes = Counter("cache_invalidations_total", "Changes announced to the cache.")
_cache_entries = Gauge("cache_entries", "Answers in memory.")
_cache_bytes = Gauge("cache_bytes", "Memory that answers take.")
_pool_size = Gauge("database_pool_size", "Connections a process may have.")
_pool_in_use = Gauge("database_pool_in_use", "Connections that are at work.")
_pool_waiting = Gauge("database_pool_waiting", "Requests waiting for a connection.")
_leases_expired = Counter(
    "database_leases_expired_total", "Connections closed since a request kept one for too long."
)

_sender: socket.socket | None = None


def send_to(sender: socket.socket | None) -> None:
    """Let `flush` send to the process that answers Prometheus (`meters.channel`)."""
    global _sender  # noqa: PLW0603  one a process, as the figures are
    _sender = sender


def flush() -> None:
    """Send what was counted: a message a metric, not one a request."""
    if _sender is None:
        return
    # Its reader is busy or ends: what was not sent is kept.
    with suppress(OSError):
        for meter in Meter.declared.values():
            meter.send(_sender)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request."""
    _requests.observe(seconds, (method, route, str(status)))


def count_cache(answers: Mapping[str, int], errors: int, changes: int) -> None:
    """Add what the cache did since this was told last; `answers` by where they came from."""
    for answer, number in answers.items():
        if number:
            _cache_requests.inc(number, (answer,))
    if errors:
        _cache_errors.inc(errors)
    if changes:
        _cache_changes.inc(changes)


def show_cache(entries: int, size: int) -> None:
    """Show how full this process's memory is."""
    _cache_entries.set(entries)
    _cache_bytes.set(size)


def show_pool(size: int, in_use: int, waiting: int) -> None:
    """Show how this process's pool stands."""
    _pool_size.set(size)
    _pool_in_use.set(in_use)
    _pool_waiting.set(waiting)


def count_expired_leases(number: int) -> None:
    """Add leases of connections that were ended since this was told last."""
    if number:
        _leases_expired.inc(number)


def count_refusal(kind: str) -> None:
    """Count a request that was over a limit of this kind."""
    _refusals.inc(1, (kind,))


def count_dropped_reader() -> None:
    """Count a connection that was closed because its client did not read."""
    _dropped_readers.inc()


def count_limits_alone() -> None:
    """Count a question that Redis could not be asked."""
    _limits_alone.inc()


@dataclass(frozen=True)
class Reading:
    """A figure read when it is asked for: `values` maps the labels' values to it."""

    name: str
    text: str
    labels: Mapping[str, LabelValues]
    values: Mapping[tuple[str, ...], float]

    def family(self) -> Metric:
        """Return what Prometheus is told; what is under `_OTHER` is added up."""
        bounded: dict[tuple[str, ...], float] = {}
        for values, figure in self.values.items():
            pairs = zip(self.labels.values(), values, strict=True)
            key = tuple(allowed.bound(value) for allowed, value in pairs)
            bounded[key] = bounded.get(key, 0.0) + figure
        family = GaugeMetricFamily(self.name, self.text, labels=[*self.labels])
        for key, figure in bounded.items():
            family.add_metric(key, figure)
        return family


def exposition(totals: Totals, readings: Iterable[Reading]) -> bytes:
    """Return the metrics of all processes, and the readings."""
    registry = CollectorRegistry()
    registry.register(totals)
    registry.register(_Readings(readings))
    return generate_latest(registry)


class _Readings:
    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = readings

    def collect(self) -> list[Metric]:
        return [reading.family() for reading in self._readings]
