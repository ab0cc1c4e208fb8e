"""Migrations under load: no request fails, and enrolments go on while a migration waits.

`make test-migrations` measures with more requests and rows: none waits for long. It writes the
table of the docs.
"""

import asyncio
import os
import re
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from infra.db import migrations
from infra.db.migrations import migrate
from tests.factories import Api, eventually
from tests.instances import instance
from tests.migrating import add_migration, copy_migrations
from tests.steady_load import steady_load

ENROLL = Path(sys.executable).with_name("enroll")
RATE = float(os.environ.get("MIGRATION_RATE", "50"))
ROWS = int(os.environ.get("MIGRATION_ROWS", "20000"))
REPORT = os.environ.get("MIGRATION_REPORT")
# The transaction lasts for longer than a request may wait.
HELD_SECONDS = 4.0
BOUND_SECONDS = 1.0
# More than can be in the database when the migration comes.
ENROLMENTS = 30
TABLE = re.compile(
    r"(<!-- make test-migrations writes this table -->\n).*?(<!-- end -->)", re.DOTALL
)
CONCURRENT = {"RUN_IN_TRANSACTION": False}
CHECK = "ALTER TABLE enrollments ADD CONSTRAINT ck_extra CHECK (extra > 0) NOT VALID"
NOTHING = "nothing, for comparison"
STEPS = {
    NOTHING: ("SELECT 1", {}),
    "add a column": ("ALTER TABLE enrollments ADD COLUMN extra int", {}),
    "add a column with a default": (
        "ALTER TABLE enrollments ADD COLUMN more int NOT NULL DEFAULT 0",
        {},
    ),
    "add a CHECK, NOT VALID": (CHECK, {}),
    "validate the CHECK": ("ALTER TABLE enrollments VALIDATE CONSTRAINT ck_extra", {}),
    "build an index concurrently": (
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_extra ON enrollments (student_email, extra)",
        CONCURRENT,
    ),
    "drop an index concurrently": ("DROP INDEX CONCURRENTLY IF EXISTS ix_extra", CONCURRENT),
    "drop a column": ("ALTER TABLE enrollments DROP COLUMN more", {"PHASE": "contract"}),
}
SHORT = ("add a column", "build an index concurrently")
BEHIND = "ALTER TABLE enrollments ADD COLUMN behind int"


@dataclass(frozen=True)
class Measured:
    """A migration under load: its duration, the requests meanwhile, the slowest of them."""

    step: str
    seconds: float
    requests: int
    slowest: float

    def row(self) -> str:
        slowest = f"{self.slowest * 1000:.0f} ms"
        return f"| {self.step} | {self.seconds:.1f} s | {self.requests} | {slowest} |"


@pytest.fixture
async def loaded(service, new_database, tmp_path):
    """A database with rows, and an API on it under load: URL, load."""
    url = await new_database()
    environment = service.env | {"DATABASE_URL": url, "RATE_LIMIT_EXEMPT": "127.0.0.1"}
    await _run("seed", "--courses", "1000", "--enrollments", str(ROWS), env=environment)
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(instance(tmp_path, environment))
        async with httpx.AsyncClient(base_url=base, timeout=30) as client:
            course = await (await Api.log_in(client)).new_course()
        async with steady_load(base, course["id"], RATE) as load:
            # The first requests fill caches and open connections.
            await asyncio.sleep(5 if REPORT else 1)
            yield url, load
        assert not load.failed, load.failed[:5]


async def test_migrations_hold_up_no_request(loaded, tmp_path, monkeypatch):
    url, load = loaded
    folder = copy_migrations(tmp_path)
    found = []

    async def measure(step, sql, declared):
        add_migration(folder, sql, **declared)
        now = asyncio.get_running_loop().time
        before, began = len(load.times), now()
        await migrate(url, folder=folder)
        seconds = now() - began
        # Requests that wait for the migration have their response after it.
        await asyncio.sleep(0.5)
        times = [took for _, took in load.times[before:]]
        found.append(Measured(step, seconds, len(times), max(times)))

    for step, (sql, declared) in STEPS.items():
        if REPORT or step in SHORT:
            await measure(step, sql, declared)
    if not REPORT:
        async with _transaction(url, lambda own: _enrolled_meanwhile(own, load)):
            await measure("add a column behind a transaction", BEHIND, {})
        return

    async def held(_connection):
        await asyncio.sleep(HELD_SECONDS)

    async with _transaction(url, held):
        await measure(f"add a column behind a transaction of {HELD_SECONDS:.0f} s", BEHIND, {})
    migrated = [each for each in found if each.step != NOTHING]
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "0")
    async with _transaction(url, held):
        await measure("the same without `lock_timeout`", BEHIND.replace("behind", "last"), {})
    assert found[-1].slowest > HELD_SECONDS - 1, "the transaction is in the way"
    _report(found)
    assert migrated[-1].seconds > HELD_SECONDS - 1
    assert max(each.slowest for each in migrated) < BOUND_SECONDS, migrated


async def _enrolled_meanwhile(connection, load):
    """Wait until the migration waits for its lock, and then for enrolments."""
    waits = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
    await eventually(lambda: connection.fetchval(waits))
    before = len(load.enrolled)

    async def are_more():
        return len(load.enrolled) > before + ENROLMENTS

    await eventually(are_more)


@asynccontextmanager
async def _transaction(url, held):
    """Read in a transaction that stays open until `held` returns, also after the block."""
    connection = await asyncpg.connect(url)

    async def hold():
        async with connection.transaction():
            await connection.fetch("SELECT * FROM enrollments LIMIT 1")
            holds.set()
            await held(connection)

    holds = asyncio.Event()
    holding = asyncio.create_task(hold())
    await holds.wait()
    yield
    await holding
    await connection.close()


async def _run(*command, env):
    process = await asyncio.create_subprocess_exec(ENROLL, *command, env=os.environ | env)
    assert await process.wait() == 0


def _report(found):
    page = Path(REPORT)
    head = (
        f"\n{RATE:.0f} requests a second, half of them enrolments; {ROWS:,} rows in the table:\n\n"
        "| migration | took | requests meanwhile | slowest of them |\n|---|---:|---:|---:|\n"
    )
    table = head + "".join(f"{each.row()}\n" for each in found)
    text, count = TABLE.subn(
        lambda match: f"{match[1]}{table}\n{match[2]}", page.read_text("utf-8")
    )
    assert count == 1, f"{page} has no place for the table"
    page.write_text(text, encoding="utf-8")
