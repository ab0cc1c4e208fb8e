"""The tasks table is filled for benchmarks: no queued row can run, and indexes are restored."""

import asyncpg
import pytest

from loadtests.bench.tasks import fill as filling
from loadtests.bench.tasks.__main__ import FILLS
from loadtests.bench.tasks.fill import Fill, fill

# Without their definitions, for PostgreSQL prints the same condition differently.
INDEXES = "SELECT indexname FROM pg_indexes WHERE tablename = 'tasks' ORDER BY indexname"
KINDS = """
    SELECT name, state, available_at <= now() AS is_due, count(*) FROM tasks
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


@pytest.fixture
async def connection(new_database):
    connection = await asyncpg.connect(await new_database())
    yield connection
    await connection.close()


def test_the_fill_has_the_given_numbers_of_rows():
    assert [Fill(1_000, 1_000), Fill(1_000_000, 1_000_000)] == FILLS


async def test_half_of_the_queued_rows_are_due_and_no_kind_is_registered(connection):
    before = await connection.fetch(INDEXES)
    await fill(connection, Fill(300, 200))
    assert [tuple(row) for row in await connection.fetch(KINDS)] == [
        ("bench.elsewhere", "queued", True, 100),
        ("bench.noop", "queued", False, 100),
        ("bench.noop", "succeeded", True, 300),
    ]
    assert await connection.fetch(INDEXES) == before
    assert await connection.fetchval(
        "SELECT max(created_at) <= max(filled_at) FROM tasks, bench_filled"
    )
    assert await connection.fetchval("SHOW session_replication_role") == "origin"


async def test_a_fill_that_takes_too_long_is_ended(connection, monkeypatch):
    monkeypatch.setattr(filling, "LIMIT_SECONDS", 0.0)
    with pytest.raises(SystemExit, match="longer than 0 s"):
        await fill(connection, Fill(300, 200))
