"""The two Redis servers, by their exporters."""

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
    "redis",
    "Redis",
    "The cache, which evicts, and the broker, which must not.",
    row(
        "Now",
        figure(
            "Up",
            Unit.COUNT,
            "1 while the exporter reaches the server.",
            Query("redis_up", "{{job}}"),
            thresholds=(Threshold(1, below=True),),
            width=6,
        ),
        figure(
            "Clients",
            Unit.COUNT,
            "Connections.",
            Query("redis_connected_clients", "{{job}}"),
            width=6,
        ),
        figure(
            "Memory", Unit.BYTES, "In use.", Query("redis_memory_used_bytes", "{{job}}"), width=6
        ),
        figure(
            "Evicted by the broker",
            Unit.COUNT,
            "Keys since its start; each is a lost message or session.",
            Query('redis_evicted_keys_total{job="redis-broker"}', "keys"),
            thresholds=(Threshold(1),),
            width=6,
        ),
    ),
    row(
        "Commands",
        graph(
            "Commands",
            Unit.PER_SECOND,
            "By server.",
            Query(rate("redis_commands_processed_total", "job"), "{{job}}"),
        ),
        graph(
            "Busiest commands",
            Unit.PER_SECOND,
            "The first eight.",
            Query(f"topk(8, {rate('redis_commands_total', 'job, cmd')})", "{{job}} {{cmd}}"),
        ),
        graph(
            "Time of a command",
            Unit.SECONDS,
            "The mean, by server.",
            Query(
                f"{rate('redis_commands_duration_seconds_total', 'job')}"
                f" / {rate('redis_commands_total', 'job')}",
                "{{job}}",
            ),
        ),
    ),
    row(
        "Data",
        graph("Keys", Unit.COUNT, "By server.", Query("sum by (job) (redis_db_keys)", "{{job}}")),
        graph("Memory", Unit.BYTES, "By server.", Query("redis_memory_used_bytes", "{{job}}")),
        graph(
            "Network traffic",
            Unit.BYTES_PER_SECOND,
            "By server and direction.",
            Query(rate("redis_net_input_bytes_total", "job"), "{{job}} in"),
            Query(rate("redis_net_output_bytes_total", "job"), "{{job}} out"),
        ),
    ),
)
