"""Migrations that any number of processes may start at once, beside a service that runs.

A statement that waits for a lock makes all later ones wait behind it. So a migration waits shortly,
gives up, lets the others pass, and tries again.
"""

import asyncio
import random
import re
import time
from pathlib import Path
from typing import Any

import asyncpg
from tortoise import BaseDBAsyncClient

from infra.db import dsn
from infra.db.adoption import adoption
from infra.db.engine import UNUSABLE, direct_connection, tortoise_config_of
from infra.db.migration_files import (
    MIGRATIONS,
    Migration,
    MigrationError,
    Phase,
    Tables,
    due,
    load,
    of_queue,
)
from infra.db.session import Session
from infra.observability import logs
from infra.observability.events import Event

MIGRATION_LOCK = 0x434F5552  # "COUR": one number that only our migrations lock
# How long a migration may wait for a lock, and thus hold up what waits behind it.
LOCK_TIMEOUT = "300ms"
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.5, 5.0
# How long a migration is tried again.
DEADLINE_SECONDS = 600.0
LOCK_POLL_SECONDS = 0.2
_BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_CONCURRENT = re.compile(
    r"(?:\s|--.*\n)*(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY\s+IF\s+(?:NOT\s+)?EXISTS"
    r'\s+("?\w+"?)',
    re.IGNORECASE,
)
_OLDEST = """
    SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::int AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
    ORDER BY xact_start LIMIT 1
"""
_CREATE_NAMESPACE = """
    DO $$
    DECLARE
        first text := trim(split_part(current_setting('search_path'), ',', 1));
    BEGIN
        IF first <> '"$user"' AND to_regnamespace(first) IS NULL THEN
            EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', (parse_ident(first))[1]);
        END IF;
    END $$
"""

log = logs.get_logger(__name__)


def migration_config(url: str) -> dict[str, Any]:
    """Return Tortoise's configuration with aerich's own table; a statement has no time limit."""
    unbounded = {
        **dsn.parse(url).parameters(dsn.UNBOUNDED),
        "connection_class": Session,
        "minsize": 1,
        "maxsize": 1,
        "lease_seconds": None,
    }
    config = tortoise_config_of(unbounded)
    config["apps"][Tables.ALL.value]["models"].append("aerich.models")
    return config


async def migrate(
    url: str,
    phase: Phase | None = None,
    *,
    tables: Tables = Tables.ALL,
    folder: Path = MIGRATIONS / "models",
    deadline_seconds: float = DEADLINE_SECONDS,
) -> list[str]:
    """Apply the migrations that the database has not; one process at a time, the others wait.

    An empty database has no older release to spare, so it gets all of them in any phase. The tables
    of `Tables.QUEUE` are made in the first schema of the URL's `search_path`.

    Returns:
        The names of the migrations applied now.

    Raises:
        MigrationError: a lock was not free before the deadline, the other phase comes first, a
            file is no migration, or the database is of a release before the last of 0.x, or has
            been migrated with other `tables`.

    """
    migrations = load(folder)
    # The lock's session is the one that migrates: it has the lock as long as it can change things.
    async with direct_connection(url) as connection:
        await _take_lock(connection)
        if tables is Tables.QUEUE:
            migrations = of_queue(migrations)
            await _create_namespace(connection)
        await _check_tables(connection, tables)
        known = await _applied(connection, tables)
        adopted = adoption(known, migrations[0])
        pending = [each for each in migrations if each.name not in known]
        first = [adopted] if adopted else []
        chosen = first + due(pending[len(first) :], phase if known else None)
        for each in chosen:
            await _apply(connection, each, tables, time.monotonic() + deadline_seconds)
        return [each.name for each in chosen]


async def applied_in(url: str, tables: Tables = Tables.ALL) -> list[str]:
    """Return the names of the migrations that a database has, in their order."""
    async with direct_connection(url) as connection:
        return await _applied(connection, tables)


async def _applied(connection: asyncpg.Connection, tables: Tables) -> list[str]:
    if not await connection.fetchval("SELECT to_regclass('aerich') IS NOT NULL"):
        return []
    query = "SELECT version FROM aerich WHERE app = $1 ORDER BY id"
    return [row["version"] for row in await connection.fetch(query, tables)]


async def _check_tables(connection: asyncpg.Connection, tables: Tables) -> None:
    """Check that the database has not been migrated with other tables."""
    (other,) = set(Tables) - {tables}
    if await _applied(connection, other):
        has, use = ("the queue only", "with") if other is Tables.QUEUE else ("all", "without")
        raise MigrationError(f"the database has {has}: migrate it {use} --only queue")


async def _create_namespace(connection: asyncpg.Connection) -> None:
    """Create PostgreSQL's schema that `search_path` names first, unless it is the default."""
    await connection.execute(_CREATE_NAMESPACE)


async def has_migration(source: BaseDBAsyncClient, name: str) -> bool:
    """Return whether the database has a migration; it may have those of later releases, too."""
    query = "SELECT version FROM aerich WHERE app = $1 AND version = $2"
    try:
        return bool(await source.execute_query_dict(query, [Tables.ALL, name]))
    except UNUSABLE:
        return False  # there is no such table, or the database is gone


async def _take_lock(connection: asyncpg.Connection) -> None:
    # Not by pg_advisory_lock: its wait has a snapshot, and CREATE INDEX CONCURRENTLY of the
    # process that has the lock waits for all older snapshots to end.
    attempt = "SELECT pg_try_advisory_lock($1)"
    while not await connection.fetchval(attempt, MIGRATION_LOCK):  # noqa: ASYNC110  another process has it
        await asyncio.sleep(LOCK_POLL_SECONDS)


async def _apply(
    connection: asyncpg.Connection, migration: Migration, tables: Tables, deadline: float
) -> None:
    """Apply a migration; try again while its locks are not free.

    Raises:
        MigrationError: they were not before the deadline, or it requires what is not the case.

    """
    if migration.requires and not await connection.fetchval(migration.requires):
        raise MigrationError(f"{migration.name} waits until this is true: {migration.requires}")
    run = _run_in_transaction if migration.in_transaction else _run_concurrently
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await run(connection, migration, tables)
        except _BUSY as error:
            oldest = await connection.fetchrow(_OLDEST)
            reason = str(error)
        about = dict(oldest) if oldest else {}
        log.info(Event.MIGRATION_WAITS, name=migration.name, error=reason, **about)
        if time.monotonic() + pause > deadline:
            holder = f"; session {oldest['pid']} has a transaction of {oldest['seconds']} s"
            raise MigrationError(
                f"{migration.name} did not get its locks in time, nothing of it is applied "
                f"({reason}{holder if oldest else ''}): run it again"
            )
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  jitter
        pause = min(2 * pause, LAST_PAUSE_SECONDS)


async def _run_in_transaction(
    connection: asyncpg.Connection, migration: Migration, tables: Tables
) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(migration.sql)
        await _record(connection, migration, tables)


async def _run_concurrently(
    connection: asyncpg.Connection, migration: Migration, tables: Tables
) -> None:
    """Run CREATE or DROP INDEX CONCURRENTLY, which holds no lock that readers or writers want.

    It may wait long for older transactions, and need not give up: no statement waits behind it.
    """
    found = _CONCURRENT.match(migration.sql)
    if found is None:
        raise MigrationError(
            f"{migration.name}: outside a transaction a migration is one statement, "
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS or DROP INDEX CONCURRENTLY IF EXISTS"
        )
    await _drop_invalid(connection, found[1])
    try:
        await connection.execute(migration.sql)
    except asyncpg.PostgresError:
        # A unique index refuses rows even while it is invalid.
        await _drop_invalid(connection, found[1])
        raise
    await _record(connection, migration, tables)


async def _drop_invalid(connection: asyncpg.Connection, index: str) -> None:
    """Drop the index if a build of it was interrupted: readers don't use it, and writers pay."""
    statement = await connection.fetchval(
        """
        SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %s', indexrelid::regclass)
        FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid
        """,
        index,
    )
    if statement:
        await connection.execute(statement)


async def _record(connection: asyncpg.Connection, migration: Migration, tables: Tables) -> None:
    await connection.execute(
        "INSERT INTO aerich (version, app, content) VALUES ($1, $2, $3::jsonb)",
        *(migration.name, tables, _state(migration)),
    )


def _state(migration: Migration) -> str:
    """Return aerich's description of the models, as it writes it into its table."""
    if migration.state is None:
        return "{}"
    # Importing aerich is slow, and most commands don't migrate.
    from aerich.coder import encoder  # noqa: PLC0415  it costs start-up time
    from aerich.utils import decompress_dict  # noqa: PLC0415  it costs start-up time

    return encoder(decompress_dict(migration.state))
