"""The database as the service uses it: statements and connections."""

from deploy.observe.dashboards.definition import (
    Level,
    Query,
    Threshold,
    Unit,
    dashboard,
    figure,
    graph,
    or_zero,
    quantile,
    quantiles,
    rate,
    row,
)
from deploy.observe.dashboards.targets import bound

_SECONDS = "database_query_duration_seconds"
_LIMITS = (Threshold(bound("database-100ms").seconds),)
_USE = 'sum(database_pool_in_use{job="api"}) / sum(database_pool_size{job="api"})'
# As in the objective `pool-use`.
_USE_LIMITS = (Threshold(0.8),)

DASHBOARD = dashboard(
    "database",
    "Database",
    "Statements of the API and the workers, and the connections that they wait for.",
    row(
        "Now",
        figure(
            "Statements",
            Unit.PER_SECOND,
            "Of all processes.",
            Query(rate(f"{_SECONDS}_count"), "statements"),
        ),
        figure(
            "Duration, p95",
            Unit.SECONDS,
            "95 of 100 statements take less; the objective is 100 ms.",
            Query(quantile(0.95, _SECONDS), "p95"),
            thresholds=_LIMITS,
        ),
        figure(
            "Errors",
            Unit.PER_SECOND,
            "Failed statements and connection attempts.",
            Query(or_zero(rate("database_errors_total")), "errors"),
        ),
        figure(
            "Pools in use",
            Unit.RATIO,
            "Of the API's connections; the objective is less than 80 %.",
            Query(_USE, "in use"),
            thresholds=_USE_LIMITS,
        ),
        figure(
            "Waiting",
            Unit.COUNT,
            "Requests that wait for a connection.",
            Query("sum(database_pool_waiting)", "requests"),
            thresholds=(Threshold(1, Level.WARNING),),
        ),
        figure(
            "Leases expired",
            Unit.COUNT,
            "Connections taken back in the last hour; each is a fault of the service.",
            Query(or_zero("sum(increase(database_leases_expired_total[1h]))"), "connections"),
            thresholds=(Threshold(1, Level.WARNING),),
        ),
    ),
    row(
        "Statements",
        graph(
            "Statements by operation",
            Unit.PER_SECOND,
            "What the service executes.",
            Query(rate(f"{_SECONDS}_count", "operation"), "{{operation}}"),
            stacked=True,
        ),
        graph(
            "Duration",
            Unit.SECONDS,
            "All statements; the line is the objective of p95.",
            *quantiles(_SECONDS),
            thresholds=_LIMITS,
        ),
        graph(
            "Duration by operation, p95",
            Unit.SECONDS,
            "Without the wait for a connection.",
            Query(quantile(0.95, _SECONDS, by="operation"), "{{operation}}"),
            thresholds=_LIMITS,
        ),
    ),
    row(
        "Connections",
        graph(
            "Pools",
            Unit.COUNT,
            "Connections of the API processes, and requests that wait for one.",
            Query("sum(database_pool_size)", "size"),
            Query("sum(database_pool_in_use)", "in use"),
            Query("sum(database_pool_waiting)", "waiting"),
        ),
        graph(
            "Wait for a connection",
            Unit.SECONDS,
            "Also the waits of no time.",
            *quantiles("database_pool_wait_seconds"),
        ),
        graph(
            "Faults",
            Unit.PER_SECOND,
            "Errors by reason, and waits that got no connection.",
            Query(or_zero(rate("database_errors_total", "reason")), "{{reason}}"),
            Query(or_zero(rate("database_pool_timeouts_total")), "no connection"),
        ),
    ),
)
