"""What the processes of a worker count about tasks and the broker; docs/metrics.md lists it."""

from infra.observability.meters import Counter, Histogram, Instance, LabelValues, Latest

OUTCOMES = ("succeeded", "retried", "failed", "cancelled", "lost")

_WORKER = (Instance.WORKER,)
# The worker adds the registered kinds.
task_names = LabelValues()

attempts = Counter(
    "task_attempts_total",
    "Attempts that ended; `retried` and `failed` did not succeed, `lost` died with its worker.",
    _WORKER,
    task=task_names,
    outcome=LabelValues(*OUTCOMES),
)
durations = Histogram(
    "task_duration_seconds",
    "Time of an attempt from its claim to its end.",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
    _WORKER,
    task=task_names,
)
waits = Histogram(
    "task_wait_seconds",
    "Time from when a task was due to its claim.",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
    _WORKER,
    task=task_names,
)
attempts_taken = Histogram(
    # OpenMetrics has one family `task_attempts`, that of the counter above.
    "task_attempts_taken",
    "Attempts that a task had taken when it succeeded, failed or was cancelled.",
    (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0),
    _WORKER,
    task=task_names,
)
publications = Histogram(
    "broker_publish_duration_seconds",
    "Time to send a batch of tasks to the broker.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    _WORKER,
    outcome=LabelValues("ok", "error"),
)
newest_backup = Latest(
    "backup_newest_timestamp_seconds",
    "When the newest backup was complete, in Unix time; 0: none is known.",
    _WORKER,
)
backup_interval = Latest(
    "backup_interval_seconds", "How often a backup is due; 0 if none is scheduled.", _WORKER
)
