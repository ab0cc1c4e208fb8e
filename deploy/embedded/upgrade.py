"""Carries the data of an older PostgreSQL to the one that runs here, by dump and restore.

The new folder is made aside, compared with the old one table by table, and put in its place by
renaming. Until then the old folder is only read: an upgrade that is interrupted starts over. The
old folder is kept.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from urllib.parse import quote

import asyncpg

from deploy.embedded import probe
from deploy.embedded.binaries import POSTGRES_FOLDERS, find_old_postgres
from deploy.embedded.cluster import USER, Cluster, make_folder
from deploy.embedded.errors import StartError, VersionMismatchError
from infra.db.engine import direct_connection

READY_SECONDS = 60.0
# The text of a row depends on them, and a database may have its own.
TEXT_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
# These two are in every cluster: their contents are restored, not they themselves.
IN_EVERY_CLUSTER = frozenset({"postgres", "template1"})
DATABASES = (
    "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template0' ORDER BY 1"
)
TABLES = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 1
"""
# Rows are summed: their order on the disk is not the same after a restore.
FINGERPRINT = """
    SELECT count(*), coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0)
    FROM {} AS t
"""

Say = Callable[[str], None]
Fingerprints = dict[tuple[str, str], tuple[object, ...]]


async def upgrade(cluster: Cluster, version: int, ports: tuple[int, int], say: Say) -> None:
    """Put a folder of the cluster's own version in the place of its older one.

    `ports` are free: of the old server, and of the new one while the data are carried over.

    Raises:
        VersionMismatchError: the data are newer, or no program is here that reads them.
        StartError: a step failed, or the new data differ; the old folder is as it was.

    """
    new = cluster.install.major
    if version > new:
        raise VersionMismatchError(
            f"the data in {cluster.folder} were written by PostgreSQL {version}, which PostgreSQL "
            f"{new} can't read; set EMBEDDED_POSTGRES_BIN to the folder of PostgreSQL {version}'s "
            "programs, or set another DATA_DIR"
        )
    install = find_old_postgres(version)
    if install is None:
        raise VersionMismatchError(
            f"the data in {cluster.folder} were written by PostgreSQL {version} and PostgreSQL "
            f"{new} serves here: install PostgreSQL {version} (in "
            f"{POSTGRES_FOLDERS[0].format(version)}, Debian's postgresql-{version}) and start "
            "again, which carries them over; or set EMBEDDED_POSTGRES_BIN to the folder of "
            f"PostgreSQL {version}'s programs; or set another DATA_DIR"
        )
    say(f"the data are PostgreSQL {version}'s: carrying them over to PostgreSQL {new}")
    old = replace(cluster, install=install)
    draft = replace(cluster, folder=cluster.folder.with_name("postgres.new"))
    try:
        await draft.initialise()
        await _carry_over(old, draft, ports)
    except StartError as error:
        raise StartError(
            f"the data could not be carried over from PostgreSQL {version} to {new} and are as "
            f"they were; EMBEDDED_POSTGRES_BIN={install.folder} goes on with {version}: {error}"
        ) from error
    await draft.run("initdb", "--sync-only", "--pgdata", str(draft.folder))
    draft.folder.rename(_verified(cluster.folder))
    kept = finish_upgrade(cluster.folder)
    say(f"the data are PostgreSQL {new}'s now; those of before are in {kept}, to be removed by you")


def finish_upgrade(folder: Path) -> Path | None:
    """Put a verified new folder in its place, if there is one; return where the old one is."""
    verified = _verified(folder)
    if not verified.exists():
        return None
    kept = None
    if folder.exists():
        version = (folder / "PG_VERSION").read_text(encoding="ascii").strip()
        names = chain([f"postgres.{version}"], (f"postgres.{version}-{n}" for n in count(2)))
        kept = next(path for path in map(folder.with_name, names) if not path.exists())
        folder.rename(kept)
    verified.rename(folder)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return kept


def _verified(folder: Path) -> Path:
    return folder.with_name("postgres.verified")


async def _carry_over(old: Cluster, new: Cluster, ports: tuple[int, int]) -> None:
    dumps = new.folder.with_name("postgres.dump")
    make_folder(dumps)
    try:
        async with _serving(old, "postgres-old", ports[0]), _serving(new, "postgres-new", ports[1]):
            await _globals(old, new, dumps / "globals.sql", ports)
            for number, name in enumerate(await _databases(old, ports[0])):
                await _database(old, new, name, dumps / str(number), ports)
            before = await fingerprints(old, ports[0])
            after = await fingerprints(new, ports[1])
            await new.run("vacuumdb", "--all", "--analyze-only", "--quiet", port=ports[1])
            await new.run("psql", "--command=CHECKPOINT", "--dbname=postgres", port=ports[1])
    finally:
        shutil.rmtree(dumps)
    different = sorted(
        f"{table} of {database}"
        for (database, table) in before.keys() | after.keys()
        if before.get((database, table)) != after.get((database, table))
    )
    if different:
        raise StartError(f"these tables differ: {', '.join(different)}")


async def _globals(old: Cluster, new: Cluster, file: Path, ports: tuple[int, int]) -> None:
    """Carry over the roles and tablespaces, passwords and settings included."""
    await old.run("pg_dumpall", "--globals-only", f"--file={file}", port=ports[0])
    _drop_line(file, f"CREATE ROLE {USER};")  # initdb has made it
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=postgres")
    await new.run("psql", *options, f"--file={file}", port=ports[1])


def _drop_line(file: Path, line: str) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(f"\n{line}\n", "\n", 1), encoding="utf-8")


async def _database(
    old: Cluster, new: Cluster, name: str, file: Path, ports: tuple[int, int]
) -> None:
    """Carry over a database with its locale, owner, settings, extensions and large objects.

    The old programs dump: a security release may have given its catalogue what a pg_dump that was
    built before does not know.
    """
    exists = name in IN_EVERY_CLUSTER
    into = [f"--dbname={name}"] if exists else ["--create", "--dbname=postgres"]
    dump = ("--format=custom", f"--file={file}", f"--dbname={_quoted(name)}")
    await old.run("pg_dump", *dump, port=ports[0])
    await new.run("pg_restore", "--exit-on-error", *into, str(file), port=ports[1])


def _quoted(name: str) -> str:
    """Return a connection string: a name with `=` in it would be taken for one."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


@asynccontextmanager
async def _serving(cluster: Cluster, name: str, port: int) -> AsyncIterator[None]:
    async def is_ready() -> bool:
        try:
            async with _connection(cluster, port, "postgres"):
                return True
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    process = await cluster.launcher.start(cluster.part(name, port, is_ready, fsync=True))
    ended = asyncio.create_task(process.wait())

    async def is_up() -> bool:
        if ended.done():
            raise cluster.failure(name)
        return await is_ready()

    try:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await probe.until(is_up)
        except TimeoutError:
            raise cluster.failure(name) from None
        yield
    finally:
        await process.stop()
        await ended


def _connection(
    cluster: Cluster, port: int, database: str
) -> AbstractAsyncContextManager[asyncpg.Connection]:
    account = f"{USER}:{quote(cluster.password, safe='')}"
    url = f"postgresql://{account}@127.0.0.1:{port}/{quote(database, safe='')}?sslmode=disable"
    return direct_connection(url, settings=TEXT_SETTINGS)


async def _databases(cluster: Cluster, port: int) -> list[str]:
    async with _connection(cluster, port, "postgres") as connection:
        return [row["datname"] for row in await connection.fetch(DATABASES)]


def _fingerprint_of(table: str) -> str:
    """Return the statement for a table, whose name PostgreSQL itself has quoted."""
    return FINGERPRINT.format(table)


async def fingerprints(cluster: Cluster, port: int) -> Fingerprints:
    """Return for each table how many rows it has, and a sum of their hashes."""
    found: Fingerprints = {}
    for database in await _databases(cluster, port):
        async with _connection(cluster, port, database) as connection:
            for (table,) in await connection.fetch(TABLES):
                row = await connection.fetchrow(_fingerprint_of(table))
                found[database, table] = tuple(row)
    return found
