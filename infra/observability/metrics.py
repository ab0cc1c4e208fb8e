"""The metrics of an instance: one exposition for all its processes."""

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from infra.observability.meters import Counter, Gauge, Histogram, LabelValues, Meter, Totals

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Sanic's method for a request without a head, the route of an unknown path, and nginx's status for
# a client that closed the connection.
NO_METHOD, NO_ROUTE, CLIENT_GONE = "NONE", "unknown", 499
# A bound on the series: the names of queues come from the database.
MAX_QUEUES = 50

_BUCKETS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0),
)

# The application adds its routes.
routes = LabelValues(NO_ROUTE)
queues = LabelValues(dynamic=MAX_QUEUES)

_requests = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to its response.",
    _BUCKETS,
    method=LabelValues(*HTTPMethod, NO_METHOD),
    route=routes,
    status=LabelValues(*(status.value for status in HTTPStatus), CLIENT_GONE),
)
_rate_limit_refusals = Counter(
    "rate_limit_refusals_total",
    "Requests refused with 429.",
    rate_class=LabelValues("reads", "writes", "uploads", "logins", "failed_logins", "streams"),
)
_rate_limit_fallbacks = Counter(
    "rate_limit_fallback_total", "Rate limit checks that a process decided without Redis."
)
_dropped_readers = Counter(
    "slow_readers_dropped_total", "Connections closed because the client did not read."
)
TIERS = ("memory", "redis", "database", "stale")
_cache_requests = Counter(
    "cache_requests_total",
    "Cached reads, by the tier that had the response; `stale` is memory that may be old.",
    tier=LabelValues(*TIERS),
)
_cache_errors = Counter("cache_errors_total", "Failed calls of the shared cache.")
_cache_invalidations = Counter("cache_invalidations_total", "Invalidations by writes.")
_cache_entries = Gauge("cache_entries", "Responses in memory.")
_cache_bytes = Gauge("cache_bytes", "Memory of the responses.")
_pool_size = Gauge("database_pool_size", "Maximum number of connections of the pools.")
_pool_in_use = Gauge("database_pool_in_use", "Connections in use.")
_pool_waiting = Gauge("database_pool_waiting", "Requests waiting for a connection.")
_leases_expired = Counter(
    "database_leases_expired_total", "Connections closed because a request held one for too long."
)

_sender: socket.socket | None = None


def set_sender(sender: socket.socket | None) -> None:
    """Set the socket of `flush` to the process that serves Prometheus (`meters.open_channel`)."""
    global _sender  # noqa: PLW0603  one for each process, like the figures
    _sender = sender


def flush() -> None:
    """Send the changes of all metrics."""
    if _sender is None:
        return
    # If the receiver is busy or ending, the counts stay unsent.
    with suppress(OSError):
        for meter in Meter.declared.values():
            meter.send(_sender)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that got its response."""
    _requests.observe(seconds, (method, route, str(status)))


def count_cache(by_tier: Mapping[str, int], errors: int, invalidations: int) -> None:
    """Add what the cache has counted since the last call."""
    for tier, number in by_tier.items():
        if number:
            _cache_requests.inc(number, (tier,))
    if errors:
        _cache_errors.inc(errors)
    if invalidations:
        _cache_invalidations.inc(invalidations)


def set_cache_gauges(entries: int, size: int) -> None:
    """Set the number and size of the responses in this process's memory."""
    _cache_entries.set(entries)
    _cache_bytes.set(size)


def set_pool_gauges(size: int, in_use: int, waiting: int) -> None:
    """Set the state of this process's pool."""
    _pool_size.set(size)
    _pool_in_use.set(in_use)
    _pool_waiting.set(waiting)


def count_expired_leases(number: int) -> None:
    """Add the leases of connections that were revoked since the last call."""
    if number:
        _leases_expired.inc(number)


def count_refusal(rate_class: str) -> None:
    """Count a request over the limit of its class."""
    _rate_limit_refusals.inc(1, (rate_class,))


def count_dropped_reader() -> None:
    """Count a connection that was closed because its client did not read."""
    _dropped_readers.inc()


def count_rate_limit_fallback() -> None:
    """Count a rate limit check without Redis."""
    _rate_limit_fallbacks.inc()


@dataclass(frozen=True)
class Reading:
    """A gauge that is read for each scrape: `values` maps label values to figures."""

    name: str
    text: str
    labels: Mapping[str, LabelValues]
    values: Mapping[tuple[str, ...], float]

    def family(self) -> Metric:
        """Return the metric of the exposition; the figures under `_OTHER` are summed."""
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
