"""The table that tasks are measured with: nothing queued may run there, indexes are back."""

import asyncpg
import pytest

from loadtests.bench.tasks import fill as filling
from loadtests.bench.tasks.__main__ import FILLS
from loadtests.bench.tasks.fill import Fill, fill

# Not their definitions: PostgreSQL writes the same condition otherwise when it reads it again.
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


def test_a_thousand_rows_of_each_kind_and_a_million():
    assert [Fill(1_000, 1_000), Fill(1_000_000, 1_000_000)] == FILLS


async def test_half_of_what_is_queued_is_due_and_of_nobody(connection):
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


async def test_a_fill_that_takes_too_long_ends(connection, monkeypatch):
    monkeypatch.setattr(filling, "LIMIT_SECONDS", 0.0)
    with pytest.raises(SystemExit, match="longer than 0 s"):
        await fill(connection, Fill(300, 200))
