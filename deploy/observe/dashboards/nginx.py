"""An nginx in front of the API, by its exporter (NGINX_STATUS_URL)."""

from deploy.observe.dashboards.definition import (
    Query,
    Threshold,
    Unit,
    dashboard,
    figure,
    graph,
    rate,
    row,
)

DASHBOARD = dashboard(
    "nginx",
    "nginx",
    "Connections and requests of the proxy; empty where NGINX_STATUS_URL is not set.",
    row(
        "Now",
        figure(
            "Up",
            Unit.COUNT,
            "1 while the exporter reaches stub_status.",
            Query("nginx_up", "{{instance}}"),
            thresholds=(Threshold(1, below=True),),
            width=8,
        ),
        figure(
            "Requests",
            Unit.REQUESTS_PER_SECOND,
            "Of all clients.",
            Query(rate("nginx_http_requests_total"), "requests"),
            width=8,
        ),
        figure(
            "Connections",
            Unit.COUNT,
            "Open now.",
            Query("sum(nginx_connections_active)", "active"),
            width=8,
        ),
    ),
    row(
        "Traffic",
        graph(
            "Requests",
            Unit.REQUESTS_PER_SECOND,
            "By instance.",
            Query(rate("nginx_http_requests_total", "instance"), "{{instance}}"),
        ),
        graph(
            "Connections by state",
            Unit.COUNT,
            "Waiting ones are idle.",
            Query("sum(nginx_connections_reading)", "reading"),
            Query("sum(nginx_connections_writing)", "writing"),
            Query("sum(nginx_connections_waiting)", "waiting"),
            stacked=True,
        ),
        graph(
            "Dropped connections",
            Unit.PER_SECOND,
            "Accepted but not handled: out of connections.",
            Query(
                f"{rate('nginx_connections_accepted')} - {rate('nginx_connections_handled')}",
                "dropped",
            ),
            thresholds=(Threshold(1),),
        ),
    ),
)
