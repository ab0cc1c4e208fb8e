"""What the processes count; docs/metrics.md lists all of it.

The values of labels are given in the order of their declaration.
"""

import os
import socket
import threading
from contextlib import suppress
from http import HTTPMethod, HTTPStatus

from infra.observability import logs
from infra.observability.meters import (
    Age,
    Counter,
    Gauge,
    Histogram,
    Instance,
    LabelValues,
    Meter,
)
from infra.observability.totals import send_changes

# Sanic's method for a request without a head, the route of an unknown path, and nginx's status for
# a client that closed the connection.
NO_METHOD, NO_ROUTE, CLIENT_GONE = "NONE", "unknown", 499
# A bound on the series: operators name the flags.
MAX_FLAGS, MAX_VARIANTS = 100, 20

_API = (Instance.API,)
SECONDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_SERVER_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# The application adds its routes.
routes = LabelValues(NO_ROUTE)

requests = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to its response.",
    SECONDS,
    _API,
    method=LabelValues(*HTTPMethod, NO_METHOD),
    route=routes,
    status=LabelValues(*(status.value for status in HTTPStatus), CLIENT_GONE),
)
in_flight = Gauge(
    "http_requests_in_flight", "Requests whose response is not complete, event streams too.", _API
)
rate_limit_refusals = Counter(
    "rate_limit_refusals_total",
    "Requests refused with 429.",
    _API,
    rate_class=LabelValues("reads", "writes", "uploads", "logins", "failed_logins", "streams"),
)
rate_limit_fallbacks = Counter(
    "rate_limit_fallback_total", "Rate limit checks that a process decided without Redis.", _API
)
login_failures = Counter(
    "login_failures_total",
    "Logins and refreshes that were refused.",
    _API,
    reason=LabelValues(
        *("unknown_account", "wrong_password", "throttled", "busy"),
        *("refresh_invalid", "refresh_expired", "refresh_reused"),
    ),
)
dropped_readers = Counter(
    "slow_readers_dropped_total", "Connections closed because the client did not read.", _API
)
TIERS = ("memory", "redis", "database", "stale")
cache_requests = Counter(
    "cache_requests_total",
    "Cached reads, by the tier that had the response; `stale` is memory that may be old.",
    _API,
    tier=LabelValues(*TIERS),
)
cache_errors = Counter("cache_errors_total", "Failed calls of the shared cache.")
cache_invalidations = Counter("cache_invalidations_total", "Invalidations by writes.")
cache_entries = Gauge("cache_entries", "Responses in memory.", _API)
cache_bytes = Gauge("cache_bytes", "Memory of the responses.", _API)

queries = Histogram(
    "database_query_duration_seconds",
    "Time of a statement on a connection of the pools, without the wait for the connection.",
    SECONDS,
    operation=LabelValues("select", "insert", "update", "delete", "other"),
)
DATABASE_ERRORS = ("connection", "timeout", "conflict", "resources", "statement")
database_errors = Counter(
    "database_errors_total",
    "Statements and connection attempts of the pools that failed; refused rows are no failures.",
    reason=LabelValues(*DATABASE_ERRORS),
)
pool_size = Gauge("database_pool_size", "Maximum number of connections of the pools.", _API)
pool_in_use = Gauge("database_pool_in_use", "Connections in use.", _API)
pool_waiting = Gauge("database_pool_waiting", "Requests waiting for a connection.", _API)
pool_waits = Histogram(
    "database_pool_wait_seconds",
    "Time until the pool gave a connection, or none.",
    (*_SERVER_SECONDS, 30.0, 60.0),
)
pool_timeouts = Counter(
    "database_pool_timeouts_total", "Waits that ended because all connections stayed busy."
)
leases_expired = Counter(
    "database_leases_expired_total", "Connections closed because a request held one for too long."
)
storage = Histogram(
    "storage_request_duration_seconds",
    "Time of a call of the image store.",
    (*_SERVER_SECONDS, 30.0, 60.0),
    operation=LabelValues("put", "get", "delete", "list"),
    outcome=LabelValues("ok", "error"),
)

dropped_log_lines = Counter("log_lines_dropped_total", "Log lines that were not written.")
dropped_spans = Counter("trace_spans_dropped_total", "Spans that the receiver did not get.")
flag_exposures = Counter(
    "feature_flag_exposures_total",
    "Subjects that were shown a variant of a feature flag.",
    flag=LabelValues(dynamic=MAX_FLAGS),
    variant=LabelValues(dynamic=MAX_VARIANTS),
)
flags_age = Age(
    "feature_flags_age_seconds",
    "Time since the last successful poll of the feature flags, of the process where it is longest.",
    _API,
)

_sender: socket.socket | None = None
_sending = threading.Lock()


def set_sender(sender: socket.socket | None) -> None:
    """Set the socket of `flush` to the process that serves Prometheus (`totals.open_channel`)."""
    global _sender  # noqa: PLW0603  one for each process, like the figures
    _sender = sender


def forget() -> None:
    """Forget what was counted and not sent, as a forked process does: its parent sends it."""
    global _sending  # noqa: PLW0603  one for each process, like the figures
    # A thread of the parent may have held the lock during the fork.
    _sending = threading.Lock()
    for meter in Meter.declared.values():
        meter.clear()


os.register_at_fork(after_in_child=forget)


def flush() -> None:
    """Send the changes of all metrics, and write the log lines that wait for their reader.

    Any thread may call it.
    """
    logs.flush()
    if _sender is None:
        return
    dropped_log_lines.inc(logs.take_dropped())
    # If the receiver is busy or ending, the counts stay unsent.
    with suppress(OSError), _sending:
        send_changes(_sender)
