"""The machine, by the node exporter."""

from deploy.observe.dashboards.definition import (
    Level,
    Query,
    Threshold,
    Unit,
    dashboard,
    figure,
    graph,
    rate,
    row,
)

_BUSY = '1 - avg (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))'
_FREE = "min by (mountpoint) (node_filesystem_avail_bytes / node_filesystem_size_bytes)"
_MEMORY = "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
_CARDS = '{device!="lo"}'

DASHBOARD = dashboard(
    "node",
    "Machine",
    "Processor, memory, disks and network of the machine.",
    row(
        "Now",
        figure(
            "Processor",
            Unit.RATIO,
            "Share of the cores that is busy.",
            Query(_BUSY, "busy"),
            thresholds=(Threshold(0.9, Level.WARNING),),
        ),
        figure(
            "Load",
            Unit.COUNT,
            "Processes that run or wait, over a minute, for each core.",
            Query('node_load1 / on () count(node_cpu_seconds_total{mode="idle"})', "load"),
            thresholds=(Threshold(2, Level.WARNING),),
        ),
        figure(
            "Available memory",
            Unit.RATIO,
            "What programs can still get.",
            Query(_MEMORY, "available"),
            thresholds=(Threshold(0.1, below=True),),
        ),
        figure(
            "Free disk",
            Unit.RATIO,
            "By file system.",
            Query(_FREE, "{{mountpoint}}"),
            thresholds=(Threshold(0.1, below=True),),
        ),
        figure(
            "Killed for memory",
            Unit.COUNT,
            "Processes in the last hour.",
            Query("increase(node_vmstat_oom_kill[1h])", "processes"),
            thresholds=(Threshold(1),),
        ),
        figure(
            "Up since",
            Unit.SECONDS,
            "The age of the machine's start.",
            Query("time() - node_boot_time_seconds", "uptime"),
        ),
    ),
    row(
        "Processor and memory",
        graph(
            "Processor by mode",
            Unit.COUNT,
            "Cores in use.",
            Query(rate('node_cpu_seconds_total{mode!="idle"}', "mode"), "{{mode}}"),
            stacked=True,
        ),
        graph(
            "Memory",
            Unit.BYTES,
            "Caches count as available.",
            Query("node_memory_MemTotal_bytes", "total"),
            Query("node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes", "used"),
        ),
        graph(
            "Pressure",
            Unit.RATIO,
            "Share of time in which some process waits for a resource.",
            Query(rate("node_pressure_cpu_waiting_seconds_total"), "processor"),
            Query(rate("node_pressure_memory_waiting_seconds_total"), "memory"),
            Query(rate("node_pressure_io_waiting_seconds_total"), "disk"),
        ),
    ),
    row(
        "Disks and network",
        graph(
            "Free disk",
            Unit.RATIO,
            "By file system.",
            Query(_FREE, "{{mountpoint}}"),
            thresholds=(Threshold(0.1, below=True),),
        ),
        graph(
            "Disk traffic",
            Unit.BYTES_PER_SECOND,
            "By device.",
            Query(rate("node_disk_read_bytes_total", "device"), "{{device}} read"),
            Query(rate("node_disk_written_bytes_total", "device"), "{{device}} written"),
        ),
        graph(
            "Network traffic",
            Unit.BYTES_PER_SECOND,
            "Without the loopback.",
            Query(rate(f"node_network_receive_bytes_total{_CARDS}"), "received"),
            Query(rate(f"node_network_transmit_bytes_total{_CARDS}"), "sent"),
        ),
    ),
)
