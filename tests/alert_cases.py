"""Series for `promtool test rules` in which each alert of alerts.yml fires, and almost fires."""

# Twenty minutes, a sample a minute. In the notation of promtool: start+growth x repetitions.
MINUTES = 20
UP, DOWN = "1x20", "0x20"
API, WORKER = 'job="api",instance="api:1"', 'job="worker",instance="worker:1"'
IDLE, GROWS = "0+0x20", "5+5x20"
# Restarted at the tenth minute: what grew begins again, and what stood still stands still.
RESTARTED = "7+0x10 0+0x10"
NODE = 'job="node",instance="n:1",mountpoint="/data",fstype="ext4"'
GB = 1_000_000_000

TRANSACTION = 'pg_oldest_transaction_seconds{transaction="process 7",state="idle in transaction"}'
BACKUP = 'backup_newest_timestamp_seconds{job="worker",instance="worker:1"}'

DUE = f'tasks_oldest_due_seconds{{{API},queue="images",task="images.process"}}'
PAUSED = f'queue_paused_seconds{{{API},queue="images"}}'
INTERVAL = f'queue_start_interval_seconds{{{API},queue="images"}}'
STARTS = f'task_wait_seconds_count{{{WORKER},task="images.process"}}'
# An operator has paused a queue: its tasks become old, and no worker starts one.
PAUSE = {PAUSED: "60+60x20", DUE: "9+60x20", STARTS: "9x20"}
OTHER_DUE = f'tasks_oldest_due_seconds{{{API},queue="cache",task="cache.warm"}}'
# What a healthy service shows.
HEALTHY = {
    f"up{{{API}}}": UP,
    f"up{{{WORKER}}}": UP,
    'up{job="node",instance="n:1"}': UP,
    'pg_up{job="postgres",instance="p:1"}': UP,
    'redis_up{job="redis-cache",instance="r:1"}': UP,
    'redis_up{job="redis-broker",instance="r:2"}': UP,
    f'tasks_open{{{API},queue="images",task="images.process",state="queued"}}': DOWN,
    f'tasks_open{{{API},queue="images",task="images.process",state="failed"}}': DOWN,
    DUE: DOWN,
    PAUSED: DOWN,
    INTERVAL: DOWN,
    STARTS: GROWS,
    f'broker_publish_duration_seconds_count{{{WORKER},outcome="ok"}}': GROWS,
    f'broker_publish_duration_seconds_count{{{WORKER},outcome="error"}}': RESTARTED,
    f'storage_request_duration_seconds_count{{{WORKER},outcome="error"}}': RESTARTED,
    f"database_pool_waiting{{{API}}}": "0 3 0 0 0 5 0x14",
    f"database_pool_timeouts_total{{{API}}}": RESTARTED,
    f"database_leases_expired_total{{{API}}}": RESTARTED,
    f"cache_errors_total{{{API}}}": RESTARTED,
    f'cache_requests_total{{{API},tier="stale"}}': RESTARTED,
    f"feature_flags_age_seconds{{{API}}}": UP,
    f"log_lines_dropped_total{{{API}}}": RESTARTED,
    f"trace_spans_dropped_total{{{API}}}": RESTARTED,
    f"node_filesystem_size_bytes{{{NODE}}}": f"{100 * GB}x20",
    f"node_filesystem_avail_bytes{{{NODE}}}": f"{50 * GB}x20",
    # A new transaction every eleven minutes.
    TRANSACTION: "60+60x9 60+60x9",
    # A backup a minute; the other worker has run no task of it.
    BACKUP: "0+60x20",
    'backup_newest_timestamp_seconds{job="worker",instance="worker:2"}': DOWN,
    'backup_interval_seconds{job="worker",instance="worker:1"}': "60x20",
    'backup_interval_seconds{job="worker",instance="worker:2"}': DOWN,
    'pg_stat_archiver_failed_count{job="postgres",instance="p:1"}': RESTARTED,
    'probe_ssl_earliest_cert_expiry{job="blackbox",instance="i:443"}': f"{90 * 86400}x20",
    'prometheus_rule_evaluation_failures_total{job="prometheus",instance="m:1"}': RESTARTED,
    'alertmanager_notifications_failed_total{job="alertmanager",instance="m:2"}': RESTARTED,
}
LONG = {"minutes": 90}

# By alert: the series that differ (None: absent), and the other alerts that are right as well.
FIRING: dict[str, list[tuple[dict[str, str | None], set[str]]]] = {
    "InstanceDown": [
        ({f"up{{{API}}}": DOWN}, set()),
        ({f"up{{{API}}}": None}, set()),
    ],
    "TargetDown": [({'up{job="node",instance="n:1"}': DOWN}, set())],
    "DatabaseUnreachable": [
        ({'pg_up{job="postgres",instance="p:1"}': DOWN}, set()),
        (
            {
                f'tasks_open{{{API},queue="images",task="images.process",state="queued"}}': None,
                f'tasks_open{{{API},queue="images",task="images.process",state="failed"}}': None,
            },
            set(),
        ),
    ],
    "PoolExhausted": [
        ({f"database_pool_waiting{{{API}}}": "3x20"}, set()),
        ({f"database_pool_timeouts_total{{{API}}}": GROWS}, set()),
    ],
    "PoolLeak": [({f"database_leases_expired_total{{{API}}}": "0x15 1x5"}, set())],
    "CacheUnreachable": [
        ({'redis_up{job="redis-cache",instance="r:1"}': DOWN}, set()),
        ({f"cache_errors_total{{{API}}}": GROWS}, set()),
        ({f"cache_errors_total{{{API}}}": "100+5x10 0+5x10"}, set()),
    ],
    "CacheStale": [({f'cache_requests_total{{{API},tier="stale"}}': GROWS}, set())],
    "FeatureFlagsStale": [({f"feature_flags_age_seconds{{{API}}}": "0+60x20"}, set())],
    "WorkersAway": [
        ({DUE: "9+60x20", STARTS: "9x20"}, {"QueueOld"}),
        # A rate that lets a task start each minute.
        ({DUE: "9+60x20", STARTS: "9x20", INTERVAL: "60x20"}, {"QueueOld"}),
        # Another queue than the paused one.
        (PAUSE | {OTHER_DUE: "9x20"}, set()),
        ({f"up{{{WORKER}}}": DOWN}, {"TargetDown"}),
        ({f"up{{{WORKER}}}": None}, set()),
    ],
    "BrokerUnreachable": [
        ({'redis_up{job="redis-broker",instance="r:2"}': DOWN}, set()),
        ({f'broker_publish_duration_seconds_count{{{WORKER},outcome="error"}}': GROWS}, set()),
    ],
    "BucketErrors": [
        ({f'storage_request_duration_seconds_count{{{WORKER},outcome="error"}}': GROWS}, set())
    ],
    # Claims go on: it is a long queue, and no worker is away.
    "QueueOld": [
        ({DUE: "301x20"}, set()),
        ({PAUSED: "60+60x20", DUE: "9+60x20", OTHER_DUE: "301x20"}, set()),
        # A pause that has ended.
        ({PAUSED: "600+60x10 0x10", DUE: "9+60x20"}, set()),
    ],
    "QueuePaused": [(PAUSE | {PAUSED: "86401+60x20"}, set())],
    "TasksFailed": [
        ({f'tasks_open{{{API},queue="images",task="images.process",state="failed"}}': UP}, set())
    ],
    "VacuumHeldBack": [
        ({TRANSACTION: "60+60x20"}, set()),
        # A session that works and then waits is one.
        (
            {
                TRANSACTION: "60+60x11 _x9",
                TRANSACTION.replace("idle in transaction", "active"): "_x11 780+60x9",
            },
            set(),
        ),
    ],
    "BackupOld": [
        ({BACKUP: DOWN}, set()),
        # The worker was restarted after the last run of the task.
        ({BACKUP: "0x10 _x10"}, set()),
    ],
    "WalArchiveFailing": [
        ({'pg_stat_archiver_failed_count{job="postgres",instance="p:1"}': GROWS}, set())
    ],
    "DiskFull": [
        ({f"node_filesystem_avail_bytes{{{NODE}}}": f"{2 * GB}x20"}, set()),
        (
            {
                f"node_filesystem_avail_bytes{{{NODE}}}": "64000000x20",
                f"node_filesystem_size_bytes{{{NODE}}}": "500000000x20",
            },
            set(),
        ),
        # A small disk of the system's own, as for locks.
        (
            {
                'node_filesystem_avail_bytes{job="node",mountpoint="/run"}': "5000000x20",
                'node_filesystem_size_bytes{job="node",mountpoint="/run"}': "5000000x20",
                f"node_filesystem_avail_bytes{{{NODE}}}": f"{2 * GB}x20",
            },
            set(),
        ),
    ],
    "DiskFilling": [
        ({f"node_filesystem_avail_bytes{{{NODE}}}": f"{29 * GB}-{GB // 30}x90"}, set()),
    ],
    "CertificateExpiring": [
        ({'probe_ssl_earliest_cert_expiry{job="blackbox",instance="i:443"}': f"{86400}x90"}, set())
    ],
    "LogLinesDropped": [({f"log_lines_dropped_total{{{API}}}": GROWS}, set())],
    "SpansDropped": [({f"trace_spans_dropped_total{{{API}}}": GROWS}, set())],
    "MonitoringFailing": [
        (
            {'prometheus_rule_evaluation_failures_total{job="prometheus",instance="m:1"}': GROWS},
            set(),
        ),
        (
            {'alertmanager_notifications_failed_total{job="alertmanager",instance="m:2"}': GROWS},
            set(),
        ),
    ],
    "Watchdog": [
        ({}, set()),
        (PAUSE, set()),
        # A rate that lets a task start each 61 s.
        ({DUE: "9x20", STARTS: "9x20", INTERVAL: "61x20"}, set()),
    ],
    # The instance was away until ten minutes ago.
    "RecentCause": [({f"up{{{API}}}": "0x10 1x10"}, set())],
}
SLOW = {"DiskFilling", "CertificateExpiring"}


def test_of(
    alert: str, changes: dict[str, str | None], beside: set[str], *, is_cause: bool
) -> dict:
    """Return a test in the form of promtool: exactly these alerts fire at the end."""
    minutes = 90 if alert in SLOW else MINUTES
    series = {
        name: values.replace("x20", f"x{minutes}") if values.count("x") == 1 else values
        for name, values in (HEALTHY | changes).items()
        if values is not None
    }
    expected = [
        {"labels": f'{{alertname="{each}"}}', "value": 1}
        for each in {alert, "Watchdog", *beside, *({"RecentCause"} if is_cause else ())}
    ]
    return {
        "name": f"{alert}: {changes}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by(alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minutes}m",
                "exp_samples": expected,
            }
        ],
    }
