"""The durable tasks, their transport, and the images that they make."""

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
    rate,
    row,
)
from deploy.observe.dashboards.targets import bound

_AT_ONCE = rate('task_attempts_taken_bucket{le=~"1|1.0"}')
_WAIT_LIMITS = (Threshold(bound("tasks-start").seconds),)

DASHBOARD = dashboard(
    "tasks",
    "Tasks",
    "Slow work: how much waits, how long, what becomes of it.",
    row(
        "Now",
        figure(
            "Due",
            Unit.COUNT,
            "Tasks that wait for a worker, also those of paused queues.",
            Query(or_zero('sum(tasks_due{job="api"})'), "tasks"),
        ),
        figure(
            "Running",
            Unit.COUNT,
            "Tasks that a worker has claimed.",
            Query(or_zero('sum(tasks_open{job="api", state="running"})'), "tasks"),
        ),
        figure(
            "Failed",
            Unit.COUNT,
            "Tasks that an operator has to retry or drop (enroll tasks list).",
            Query(or_zero('sum(tasks_open{job="api", state="failed"})'), "tasks"),
            thresholds=(Threshold(1, Level.WARNING),),
        ),
        figure(
            "Oldest due",
            Unit.SECONDS,
            "The longest wait of a task that could run now.",
            Query(or_zero('max(tasks_oldest_due_seconds{job="api"})'), "age"),
            thresholds=_WAIT_LIMITS,
        ),
        figure(
            "Relay lag",
            Unit.SECONDS,
            "Age of the oldest due task that is not yet published to the broker.",
            Query("max(relay_lag_seconds)", "lag"),
            thresholds=_WAIT_LIMITS,
        ),
        figure(
            "Workers",
            Unit.COUNT,
            "Workers whose metrics Prometheus reads.",
            Query('sum(up{job="worker"})', "workers"),
            thresholds=(Threshold(1, below=True),),
        ),
    ),
    row(
        "Queue",
        graph(
            "Open tasks",
            Unit.COUNT,
            "By queue and state, also those of the future; the numbers have bounds.",
            Query('sum by (queue, state) (tasks_open{job="api"})', "{{queue}} {{state}}"),
        ),
        graph(
            "Wait until a worker claims it, p95",
            Unit.SECONDS,
            "From when a task is due; the line is the objective.",
            Query(quantile(0.95, "task_wait_seconds", by="task"), "{{task}}"),
            thresholds=_WAIT_LIMITS,
        ),
        graph(
            "Publishing to the broker, p95",
            Unit.SECONDS,
            "One message of the relay, by outcome.",
            Query(quantile(0.95, "broker_publish_duration_seconds", by="outcome"), "{{outcome}}"),
        ),
    ),
    row(
        "Work",
        graph(
            "Attempts by outcome",
            Unit.PER_SECOND,
            "Retried ones run again, failed ones are kept, lost ones had their worker die.",
            Query(rate("task_attempts_total", "outcome"), "{{outcome}}"),
            stacked=True,
        ),
        graph(
            "Attempts by task",
            Unit.PER_SECOND,
            "How often each kind of task runs.",
            Query(rate("task_attempts_total", "task"), "{{task}}"),
        ),
        graph(
            "Duration, p95",
            Unit.SECONDS,
            "One attempt, by task.",
            Query(quantile(0.95, "task_duration_seconds", by="task"), "{{task}}"),
        ),
        graph(
            "Tasks with more than one attempt",
            Unit.RATIO,
            "Share of the finished tasks.",
            Query(f"1 - {_AT_ONCE} / {rate('task_attempts_taken_count')}", "retried"),
            thresholds=(Threshold(0.05, Level.WARNING),),
        ),
        graph(
            "Workers in Flower",
            Unit.COUNT,
            "What Celery's events tell: workers online, and tasks that they run.",
            Query("sum(flower_worker_online)", "online"),
            Query("sum(flower_worker_number_of_currently_executing_tasks)", "running"),
        ),
        graph(
            "Memory of the workers",
            Unit.BYTES,
            "Resident, by role.",
            Query('sum by (role) (process_resident_memory_bytes{job="worker"})', "{{role}}"),
        ),
    ),
    row(
        "Images",
        graph(
            "Calls of the image store",
            Unit.PER_SECOND,
            "By API and workers.",
            Query(
                rate("storage_request_duration_seconds_count", "operation, outcome"),
                "{{operation}} {{outcome}}",
            ),
        ),
        graph(
            "Duration of the calls, p95",
            Unit.SECONDS,
            "By operation.",
            Query(
                quantile(0.95, "storage_request_duration_seconds", by="operation"), "{{operation}}"
            ),
        ),
        graph(
            "Requests of SeaweedFS",
            Unit.REQUESTS_PER_SECOND,
            "The bucket's own count, by type and status.",
            Query(rate("SeaweedFS_s3_request_total", "type, code"), "{{type}} {{code}}"),
        ),
    ),
)
