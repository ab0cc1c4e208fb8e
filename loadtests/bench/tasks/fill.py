"""What our table holds before a measurement: finished tasks, and queued ones that do not run."""

import time
from dataclasses import dataclass

import asyncpg

LIMIT_SECONDS = 300.0

# Ids in order, as those of version 7 are: the primary key then grows at its end.
# Half of what is queued is for later; the other is due, of a task that no worker here knows.
FILL = """
INSERT INTO tasks (id, name, args, queue, state, attempts, max_attempts, progress,
                   available_at, published_at, created_at, started_at, finished_at, worker)
SELECT ('1' || lpad(to_hex(n), 31, '0'))::uuid, 'bench.noop', '{"number": 1}',
       'default', 'succeeded', 1, 5, 100,
       at, at, at, at, at, 'bench/1'
FROM generate_series(1, $finished) n, LATERAL (SELECT now() - n * interval '80 ms' AS at) times;
INSERT INTO tasks (id, name, args, available_at)
SELECT ('2' || lpad(to_hex(n), 31, '0'))::uuid, 'bench.noop', '{"number": 1}',
       now() + interval '1 day' + n * interval '1 s'
FROM generate_series(1, $queued / 2) n;
INSERT INTO tasks (id, name, args, queue, available_at)
SELECT ('3' || lpad(to_hex(n), 31, '0'))::uuid, 'bench.elsewhere', '{"number": 1}', 'elsewhere',
       now() - n * interval '1 ms'
FROM generate_series(1, $queued - $queued / 2) n;
"""
FILLED = """
CREATE TABLE bench_filled (filled_at timestamptz);
INSERT INTO bench_filled VALUES (clock_timestamp());
"""


@dataclass(frozen=True)
class Fill:
    """How many rows there are of each kind."""

    finished: int
    queued: int

    def __str__(self) -> str:
        return f"{self.finished:,} finished, {self.queued:,} queued"


async def fill(connection: asyncpg.Connection, rows: Fill) -> float:
    """Fill an empty table; return the seconds.

    The indexes are made anew afterwards, and triggers are off: that is many times faster.

    Raises:
        SystemExit: it takes longer than it may.

    """
    began = time.perf_counter()
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tasks' "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    statements = [
        "SET session_replication_role = replica",
        "SET synchronous_commit = off",
        "SET maintenance_work_mem = '512MB'",
        *(f'DROP INDEX "{index["indexname"]}"' for index in indexes),
        FILL.replace("$finished", str(rows.finished)).replace("$queued", str(rows.queued)),
        *(index["indexdef"] for index in indexes),
        "RESET session_replication_role",
        "RESET synchronous_commit",
        FILLED,
        "VACUUM ANALYZE tasks",
    ]
    for statement in statements:
        left = LIMIT_SECONDS - (time.perf_counter() - began)
        try:
            await connection.execute(statement, timeout=max(0.001, left))
        except TimeoutError:
            raise SystemExit(
                f"filling the table with {rows} takes longer than {LIMIT_SECONDS:.0f} s"
            ) from None
    return time.perf_counter() - began
