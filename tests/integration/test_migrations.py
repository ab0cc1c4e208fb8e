"""Migrations beside a service that runs: locks, indexes built concurrently, and phases."""

import asyncio
import os
import sys
import time

import asyncpg
import pytest

from infra.db import migrations
from infra.db.migration_files import MigrationError, Phase
from infra.db.migrations import applied_in, migrate
from tests import forkserver
from tests.factories import eventually
from tests.migrating import add_migration, copy_migrations

ADD = "ALTER TABLE courses ADD COLUMN extra int"
BUILD = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_extra ON courses (title)"
COURSE = (
    "INSERT INTO courses (id, title, description, difficulty) "
    "VALUES (gen_random_uuid(), $1, 'd', 'Beginner')"
)
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('uq_extra')"


@pytest.fixture
def folder(tmp_path):
    return copy_migrations(tmp_path)


@pytest.fixture
async def url(new_database):
    return await new_database()


@pytest.fixture
async def other(url):
    """A session of the service, and one that reads `courses` in an open transaction."""
    server, reader = await asyncpg.connect(url), await asyncpg.connect(url)
    open_one = reader.transaction()
    await open_one.start()
    await reader.fetch("SELECT * FROM courses")
    yield server, open_one
    await asyncio.gather(server.close(), reader.close())


async def test_a_migration_behind_a_long_transaction_holds_up_no_call(url, folder, other):
    server, open_one = other
    name = add_migration(folder, ADD)
    migrating = asyncio.create_task(migrate(url, folder=folder))
    slowest, calls, ends = 0.0, 0, time.monotonic() + 3
    while time.monotonic() < ends:
        began = time.monotonic()
        await server.execute(COURSE, f"Course {calls}")
        slowest, calls = max(slowest, time.monotonic() - began), calls + 1
        await asyncio.sleep(0.005)
    assert not migrating.done()
    await open_one.rollback()
    assert await migrating == [name]
    # The lock's time limit is 0.3 s; without one the first call waits for the transaction.
    assert calls > 20
    assert slowest < 2


async def test_a_lock_that_stays_taken_is_an_error_that_names_its_holder(url, folder, other):
    add_migration(folder, f"CREATE TABLE half_done (id bigint PRIMARY KEY); {ADD}")
    with pytest.raises(MigrationError, match=r"session \d+ has a transaction of \d+ s"):
        await migrate(url, folder=folder, deadline_seconds=0.2)
    assert await other[0].fetchval("SELECT to_regclass('half_done')") is None
    assert not any(name.startswith("900_") for name in await applied_in(url))


async def test_an_index_is_built_outside_a_transaction_while_others_wait_for_it(url, folder, other):
    """Two processes migrate: the one that waits must not hold up the other's build."""
    server, open_one = other
    name = add_migration(folder, BUILD, RUN_IN_TRANSACTION=False)
    both = [asyncio.create_task(migrate(url, folder=folder)) for _ in range(2)]
    await asyncio.sleep(2)
    await server.execute(COURSE, "While it is built")
    assert not any(each.done() for each in both)
    await open_one.rollback()
    assert sorted(await asyncio.gather(*both)) == [[], [name]]
    assert await server.fetchval(IS_VALID)


async def test_an_index_that_an_interrupted_build_left_is_built_again(url, folder, connection_to):
    server = await connection_to(url)
    await server.executemany(COURSE, [("Twice",), ("Twice",)])
    with pytest.raises(asyncpg.UniqueViolationError):
        await server.execute(BUILD)
    assert await server.fetchval(IS_VALID) is False
    await server.execute("DELETE FROM courses")
    name = add_migration(folder, BUILD, RUN_IN_TRANSACTION=False)
    assert await migrate(url, folder=folder) == [name]
    assert await server.fetchval(IS_VALID)


async def test_a_failed_build_leaves_no_index(url, folder, connection_to):
    server = await connection_to(url)
    await server.executemany(COURSE, [("Twice",), ("Twice",)])
    add_migration(folder, BUILD, RUN_IN_TRANSACTION=False)
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate(url, folder=folder)
    assert await server.fetchval(IS_VALID) is None


async def test_a_build_whose_process_was_killed_is_recorded_by_the_next_one(url, folder, other):
    server, open_one = other
    name = add_migration(folder, BUILD, RUN_IN_TRANSACTION=False)
    code = (
        "import asyncio, sys, pathlib; from infra.db.migrations import migrate; "
        "asyncio.run(migrate(sys.argv[1], folder=pathlib.Path(sys.argv[2])))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, url, folder)
    await eventually(lambda: server.fetchval("SELECT to_regclass('uq_extra') IS NOT NULL"))
    process.kill()
    await process.wait()
    await open_one.rollback()
    assert await migrate(url, folder=folder) == [name]
    assert await server.fetchval(IS_VALID)


async def test_outside_a_transaction_there_is_one_statement_of_its_kind(url, folder):
    add_migration(folder, ADD, RUN_IN_TRANSACTION=False)
    with pytest.raises(MigrationError, match="one statement"):
        await migrate(url, folder=folder)


async def test_a_contracting_migration_waits_for_what_it_requires(url, folder, connection_to):
    server = await connection_to(url)
    await server.execute(COURSE, "Not filled")
    requires = "SELECT NOT EXISTS (SELECT FROM courses WHERE title = 'Not filled')"
    name = add_migration(folder, "SELECT 1", PHASE="contract", REQUIRES=requires)
    with pytest.raises(MigrationError, match="waits until this is true"):
        await migrate(url, Phase.CONTRACT, folder=folder)
    await server.execute("DELETE FROM courses")
    assert await migrate(url, Phase.CONTRACT, folder=folder) == [name]


async def test_an_empty_database_gets_both_phases(new_database, folder):
    add_migration(folder, "SELECT 1", PHASE="contract")
    add_migration(folder, "SELECT 1")
    url = await new_database(migrated=False)
    applied = await migrate(url, Phase.EXPAND, folder=folder)
    assert applied == await applied_in(url) == [each.name for each in migrations.load(folder)]


async def test_the_status_says_whether_the_release_can_be_served(new_database):
    url = await new_database(migrated=False)
    assert await _enroll(url, "migrate", "status") == (1, len(migrations.load()) * ["pending"])
    assert (await _enroll(url, "migrate", "--phase", "expand"))[0] == 0
    assert await _enroll(url, "migrate", "status") == (0, len(migrations.load()) * ["applied"])


async def _enroll(url, *command):
    environment = os.environ | {"DATABASE_URL": url, "COLUMNS": "200"}
    done = await forkserver.enroll(*command, env=environment)
    return done.code, [word for word in done.output.split() if word in {"pending", "applied"}]


@pytest.fixture
async def connection_to():
    """Opens connections, closed after the test."""
    opened = []

    async def connect(url):
        opened.append(await asyncpg.connect(url))
        return opened[-1]

    yield connect
    for each in opened:
        await each.close()
