"""PostgreSQL, by its exporter."""

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

_OURS = '{datname!~"template.*|postgres"}'
_HITS = rate(f"pg_stat_database_blks_hit{_OURS}")
_READS = rate(f"pg_stat_database_blks_read{_OURS}")

DASHBOARD = dashboard(
    "postgres",
    "PostgreSQL",
    "The server of the truth: sessions, transactions, tables.",
    row(
        "Now",
        figure(
            "Up",
            Unit.COUNT,
            "1 while the exporter reaches the server.",
            Query("min(pg_up)", "up"),
            thresholds=(Threshold(1, below=True),),
        ),
        figure(
            "Connections",
            Unit.RATIO,
            "Share of max_connections.",
            Query("sum(pg_stat_activity_count) / max(pg_settings_max_connections)", "in use"),
            thresholds=(Threshold(0.8),),
        ),
        figure(
            "Transactions",
            Unit.PER_SECOND,
            "Committed.",
            Query(rate(f"pg_stat_database_xact_commit{_OURS}"), "commits"),
        ),
        figure(
            "Oldest transaction",
            Unit.SECONDS,
            "A long one keeps dead rows alive.",
            Query("max(pg_stat_activity_max_tx_duration)", "age"),
            thresholds=(Threshold(60, Level.WARNING),),
        ),
        figure(
            "Blocks from memory",
            Unit.RATIO,
            "Share of the blocks that were in shared buffers.",
            Query(f"{_HITS} / ({_HITS} + {_READS})", "hits"),
            thresholds=(Threshold(0.9, Level.WARNING, below=True),),
        ),
        figure(
            "Size",
            Unit.BYTES,
            "Of the service's database.",
            Query(f"sum(pg_database_size_bytes{_OURS})", "size"),
        ),
    ),
    row(
        "Sessions",
        graph(
            "Connections by state",
            Unit.COUNT,
            "Of the service's database.",
            Query(f"sum by (state) (pg_stat_activity_count{_OURS})", "{{state}}"),
            stacked=True,
        ),
        graph(
            "Transactions",
            Unit.PER_SECOND,
            "A roll-back is not always a fault: a full course is one.",
            Query(rate(f"pg_stat_database_xact_commit{_OURS}"), "committed"),
            Query(rate(f"pg_stat_database_xact_rollback{_OURS}"), "rolled back"),
        ),
        graph(
            "Conflicts",
            Unit.PER_SECOND,
            "Deadlocks, and sessions that ended with a fatal error.",
            Query(rate(f"pg_stat_database_deadlocks{_OURS}"), "deadlocks"),
            Query(rate(f"pg_stat_database_sessions_fatal{_OURS}"), "fatal errors"),
        ),
    ),
    row(
        "Data",
        graph(
            "Rows",
            Unit.PER_SECOND,
            "Changed and fetched.",
            Query(rate(f"pg_stat_database_tup_fetched{_OURS}"), "fetched"),
            Query(rate(f"pg_stat_database_tup_inserted{_OURS}"), "inserted"),
            Query(rate(f"pg_stat_database_tup_updated{_OURS}"), "updated"),
            Query(rate(f"pg_stat_database_tup_deleted{_OURS}"), "deleted"),
        ),
        graph(
            "Dead rows",
            Unit.COUNT,
            "What VACUUM has to clear, in the six tables with the most.",
            Query("topk(6, pg_stat_user_tables_n_dead_tup)", "{{relname}}"),
        ),
        graph(
            "Size of the tables",
            Unit.BYTES,
            "The six largest, with indexes.",
            Query("topk(6, pg_stat_user_tables_size_bytes)", "{{relname}}"),
        ),
        graph(
            "Sequential scans",
            Unit.PER_SECOND,
            "The six tables with the most; fine for small ones.",
            Query(f"topk(6, {rate('pg_stat_user_tables_seq_scan', 'relname')})", "{{relname}}"),
        ),
        graph(
            "Temporary files",
            Unit.BYTES_PER_SECOND,
            "Sorts and hashes that did not fit into work_mem.",
            Query(rate(f"pg_stat_database_temp_bytes{_OURS}"), "written"),
        ),
        graph(
            "Locks",
            Unit.COUNT,
            "Held in the service's database, by mode.",
            Query(f"sum by (mode) (pg_locks_count{_OURS})", "{{mode}}"),
        ),
    ),
)
