"""The service as its clients see it: rate, errors, duration."""

from deploy.observe.dashboards.definition import (
    WINDOW,
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

REQUESTS = "http_request_duration_seconds"
# What clients ask for: monitors send the others, and event streams stay open.
_CLIENTS = 'job="api", route!~"/health.*|/metrics|/console.*"'
_TIMED = 'job="api", route!~"/health.*|/metrics|/console.*|.*/events"'
_COUNT = f"{REQUESTS}_count{{{_CLIENTS}}}"
_FAULTS = f'{REQUESTS}_count{{{_CLIENTS}, status=~"5.."}}'

_ERROR_RATIO = f"{or_zero(rate(_FAULTS))} / {rate(_COUNT)}"
_ERROR_LIMITS = (Threshold(bound("availability").errors),)
_P95, _P99 = bound("latency-300ms").seconds, bound("latency-1s").seconds
_DURATION_LIMITS = (Threshold(_P95, Level.WARNING), Threshold(_P99))

DASHBOARD = dashboard(
    "service",
    "Service",
    "What clients see: how many requests, how many fail, how long they take.",
    row(
        "Now",
        figure(
            "Requests",
            Unit.REQUESTS_PER_SECOND,
            "Requests of clients, without health checks.",
            Query(rate(_COUNT), "requests"),
        ),
        figure(
            "Errors",
            Unit.RATIO,
            "Share of requests with a fault of the service (5xx).",
            Query(_ERROR_RATIO, "5xx"),
            thresholds=_ERROR_LIMITS,
        ),
        figure(
            "Duration, p95",
            Unit.SECONDS,
            f"95 of 100 requests take less; the objective is {_P95 * 1000:g} ms.",
            Query(quantile(0.95, REQUESTS, _TIMED), "p95"),
            thresholds=(Threshold(_P95),),
        ),
        figure(
            "Duration, p99",
            Unit.SECONDS,
            f"99 of 100 requests take less; the objective is {_P99:g} s.",
            Query(quantile(0.99, REQUESTS, _TIMED), "p99"),
            thresholds=(Threshold(_P99),),
        ),
        figure(
            "In flight",
            Unit.COUNT,
            "Requests whose response is not complete, event streams too.",
            Query("sum(http_requests_in_flight)", "requests"),
        ),
        figure(
            "Targets down",
            Unit.COUNT,
            "Processes and servers whose metrics Prometheus can't read.",
            Query("count(up == 0) or vector(0)", "targets"),
            thresholds=(Threshold(1),),
        ),
    ),
    row(
        "Rate",
        graph(
            "Requests by status",
            Unit.REQUESTS_PER_SECOND,
            "499 is a client that hung up.",
            Query(rate(_COUNT, "status"), "{{status}}"),
            stacked=True,
            width=12,
        ),
        graph(
            "Requests by route",
            Unit.REQUESTS_PER_SECOND,
            "The busiest eight.",
            Query(f"topk(8, {rate(_COUNT, 'method, route')})", "{{method}} {{route}}"),
            width=12,
        ),
    ),
    row(
        "Errors",
        graph(
            "Share of 5xx",
            Unit.RATIO,
            "Faults of the service or its servers; the line is the objective.",
            Query(_ERROR_RATIO, "5xx"),
            thresholds=_ERROR_LIMITS,
        ),
        graph(
            "Refused",
            Unit.REQUESTS_PER_SECOND,
            "Requests over a rate limit (429), and refused logins.",
            Query(or_zero(rate("rate_limit_refusals_total")), "rate limit"),
            Query(or_zero(rate("login_failures_total")), "login"),
            Query(or_zero(rate("rate_limit_fallback_total")), "limits without Redis"),
        ),
        graph(
            "Clients that gave up",
            Unit.REQUESTS_PER_SECOND,
            "Hung up before the response (499), or did not read it.",
            Query(or_zero(rate(f'{REQUESTS}_count{{{_CLIENTS}, status="499"}}')), "hung up"),
            Query(or_zero(rate("slow_readers_dropped_total")), "did not read"),
        ),
    ),
    row(
        "Duration",
        graph(
            "All requests",
            Unit.SECONDS,
            "Without event streams; the lines are the objectives of p95 and p99.",
            *quantiles(REQUESTS, _TIMED),
            thresholds=_DURATION_LIMITS,
            width=12,
        ),
        graph(
            "p95 by route",
            Unit.SECONDS,
            "The slowest eight.",
            Query(
                f"topk(8, {quantile(0.95, REQUESTS, _TIMED, 'method, route')})",
                "{{method}} {{route}}",
            ),
            width=12,
        ),
    ),
    row(
        "Feature flags",
        graph(
            "Age",
            Unit.SECONDS,
            "Time since the last poll that succeeded; each instance polls each second.",
            Query("max by (instance) (feature_flags_age_seconds)", "{{instance}}"),
            width=12,
        ),
        graph(
            "Exposures",
            Unit.PER_SECOND,
            "Subjects that are shown a variant for the first time, by flag and variant.",
            Query(
                or_zero(rate("feature_flag_exposures_total", "flag, variant")),
                "{{flag}} {{variant}}",
            ),
            width=12,
        ),
    ),
    row(
        "Processes",
        graph(
            "Processor",
            Unit.COUNT,
            "Cores in use.",
            Query(
                rate('process_cpu_seconds_total{job=~"api|worker"}', "job, role"),
                "{{job}} {{role}}",
            ),
        ),
        graph(
            "Memory",
            Unit.BYTES,
            "Resident memory; processes that share pages count them twice.",
            Query(
                'sum by (job, role) (process_resident_memory_bytes{job=~"api|worker"})',
                "{{job}} {{role}}",
            ),
        ),
        graph(
            "Lost observations",
            Unit.PER_SECOND,
            "Log lines and spans that were dropped so that no request waits.",
            Query(or_zero(rate("log_lines_dropped_total")), "log lines"),
            Query(or_zero(rate("trace_spans_dropped_total")), "spans"),
            thresholds=(Threshold(1, Level.WARNING),),
        ),
        figure(
            "Version",
            Unit.COUNT,
            "Instances by what runs.",
            Query(
                "count by (job, version, python) (build_info)",
                "{{job}} {{version}}, Python {{python}}",
            ),
            width=12,
        ),
        figure(
            "Scrapes",
            Unit.SECONDS,
            "How long Prometheus waits for the metrics, by job.",
            Query(f"max by (job) (max_over_time(scrape_duration_seconds[{WINDOW}]))", "{{job}}"),
            width=12,
        ),
    ),
)
