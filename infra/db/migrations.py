"""Migrations that any number of processes may start at once."""

from pathlib import Path
from runpy import run_path
from typing import Any

import asyncpg
from tortoise import Tortoise

from infra.db import dsn
from infra.db.engine import Session, direct_connection, tortoise_config_of

MIGRATIONS = Path(__file__).parents[2] / "migrations"
MIGRATION_LOCK = 0x434F5552  # "COUR": one number that only our migrations lock
APP = "models"
# Databases of the 0.x releases that had this migration go on; it was their last one.
LAST_OF_0 = "12_20261129083000_images_removed.py"
UPGRADE_FROM_0 = MIGRATIONS / "sql" / "upgrade_from_0.sql"
# What the upgrade adds whole.
ADDED_SINCE_0 = MIGRATIONS / "sql" / "catalogue.sql"


class SchemaTooOldError(Exception):
    """The database has migrations of an earlier release than this one can go on from."""


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
    config["apps"][APP]["models"].append("aerich.models")
    return config


async def migrate(url: str) -> list[str]:
    """Apply the migrations that the database has not; one process at a time, the others wait.

    Returns:
        The names of the migrations applied now.

    Raises:
        SchemaTooOldError: the database is of a release before the last of 0.x.

    """
    # Importing aerich is slow, and most commands don't migrate.
    from aerich import Command  # noqa: PLC0415

    async with direct_connection(url) as lock:
        await lock.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        adopted = await _adopt(lock)
        config = migration_config(url)
        # aerich does it only the first time in a context.
        await Tortoise.init(config)
        async with Command(config, location=str(MIGRATIONS)) as command:
            return adopted + await command.upgrade()


async def _adopt(connection: asyncpg.Connection) -> list[str]:
    """Bring a database of the 0.x releases to the initial migration, in one transaction.

    Returns:
        The name of the initial migration, if it was adopted now.

    """
    if not await connection.fetchval("SELECT to_regclass('aerich') IS NOT NULL"):
        return []
    known = [
        row["version"]
        for row in await connection.fetch(
            "SELECT version FROM aerich WHERE app = $1 ORDER BY id", APP
        )
    ]
    (initial,) = (MIGRATIONS / "models").glob("0_*.py")
    if not known or initial.name in known:
        return []
    if LAST_OF_0 not in known:
        raise SchemaTooOldError(
            f"the database is at migration {known[-1]}, of an older release than the last 0.x: "
            f"run `enroll migrate` of the last 0.x release first, which ends with {LAST_OF_0}"
        )
    from aerich.coder import encoder  # noqa: PLC0415
    from aerich.utils import decompress_dict  # noqa: PLC0415

    state = encoder(decompress_dict(run_path(str(initial))["MODELS_STATE"]))
    async with connection.transaction():
        for part in (UPGRADE_FROM_0, ADDED_SINCE_0):
            await connection.execute(part.read_text("utf-8"))
        await connection.execute("DELETE FROM aerich WHERE app = $1", APP)
        await connection.execute(
            "INSERT INTO aerich (version, app, content) VALUES ($1, $2, $3::jsonb)",
            *(initial.name, APP, state),
        )
    return [initial.name]
