"""Upgrades the data folder of an older PostgreSQL by dump and restore.

The new folder is created beside the old one, compared with it table by table, and renamed into its
place. Until then the old folder is only read, so an interrupted upgrade starts over. The old folder
is kept.
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
# The text of a row depends on these settings, and a database may override them.
TEXT_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
# initdb creates these two databases, so only their contents are restored.
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
# A sum, because a restore changes the order of the rows.
FINGERPRINT = """
    SELECT count(*), coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0)
    FROM {} AS t
"""

PrintLine = Callable[[str], None]
Fingerprints = dict[tuple[str, str], tuple[object, ...]]


async def upgrade(
    cluster: Cluster, version: int, ports: tuple[int, int], print_line: PrintLine
) -> None:
    """Replace the cluster's older folder by one of its own version.

    `ports` are the free ports of the old server and of the new one during the upgrade.

    Raises:
        VersionMismatchError: the data are newer, or no installed program reads them.
        StartError: a step failed, or the new data differ; the old folder is unchanged.

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
            f"{new} runs here: install PostgreSQL {version} (in "
            f"{POSTGRES_FOLDERS[0].format(version)}, Debian's postgresql-{version}) and start "
            "again, which upgrades them; or set EMBEDDED_POSTGRES_BIN to the folder of "
            f"PostgreSQL {version}'s programs; or set another DATA_DIR"
        )
    print_line(f"upgrading the data from PostgreSQL {version} to {new}")
    old = replace(cluster, install=install)
    draft = replace(cluster, folder=cluster.folder.with_name("postgres.new"))
    try:
        await draft.initialise()
        await _copy_all(old, draft, ports)
    except StartError as error:
        raise StartError(
            f"the data could not be upgraded from PostgreSQL {version} to {new} and are unchanged; "
            f"EMBEDDED_POSTGRES_BIN={install.folder} continues with {version}: {error}"
        ) from error
    await draft.run("initdb", "--sync-only", "--pgdata", str(draft.folder))
    draft.folder.rename(_verified_folder(cluster.folder))
    kept = finish_upgrade(cluster.folder)
    print_line(
        f"upgraded the data to PostgreSQL {new}; the old data are in {kept}, remove them yourself"
    )


def finish_upgrade(folder: Path) -> Path | None:
    """Rename a verified new folder into its place, if there is one; return the old folder."""
    verified = _verified_folder(folder)
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


def _verified_folder(folder: Path) -> Path:
    return folder.with_name("postgres.verified")


async def _copy_all(old: Cluster, new: Cluster, ports: tuple[int, int]) -> None:
    dumps = new.folder.with_name("postgres.dump")
    make_folder(dumps)
    try:
        async with (
            _running_server(old, "postgres-old", ports[0]),
            _running_server(new, "postgres-new", ports[1]),
        ):
            await _copy_globals(old, new, dumps / "globals.sql", ports)
            for number, name in enumerate(await _databases(old, ports[0])):
                await _copy_database(old, new, name, dumps / str(number), ports)
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


async def _copy_globals(old: Cluster, new: Cluster, file: Path, ports: tuple[int, int]) -> None:
    """Copy the roles and tablespaces, with passwords and settings."""
    await old.run("pg_dumpall", "--globals-only", f"--file={file}", port=ports[0])
    _drop_line(file, f"CREATE ROLE {USER};")  # initdb has made it
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=postgres")
    await new.run("psql", *options, f"--file={file}", port=ports[1])


def _drop_line(file: Path, line: str) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(f"\n{line}\n", "\n", 1), encoding="utf-8")


async def _copy_database(
    old: Cluster, new: Cluster, name: str, file: Path, ports: tuple[int, int]
) -> None:
    """Copy a database with its locale, owner, settings, extensions and large objects.

    The old programs dump, because a security release may have changed the old catalogue after the
    new pg_dump was built.
    """
    exists = name in IN_EVERY_CLUSTER
    into = [f"--dbname={name}"] if exists else ["--create", "--dbname=postgres"]
    dump = ("--format=custom", f"--file={file}", f"--dbname={_quoted(name)}")
    await old.run("pg_dump", *dump, port=ports[0])
    await new.run("pg_restore", "--exit-on-error", *into, str(file), port=ports[1])


def _quoted(name: str) -> str:
    """Return a connection string; pg_dump would parse a bare name with `=` as one."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


@asynccontextmanager
async def _running_server(cluster: Cluster, name: str, port: int) -> AsyncIterator[None]:
    async def is_ready() -> bool:
        try:
            async with _connection(cluster, port, "postgres"):
                return True
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    process = await cluster.launcher.start(cluster.server_spec(name, port, is_ready, fsync=True))
    ended = asyncio.create_task(process.wait())

    async def is_up() -> bool:
        if ended.done():
            raise cluster.failure(name)
        return await is_ready()

    try:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await probe.wait_until(is_up)
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
    """Return the statement for a table; PostgreSQL has quoted its name."""
    return FINGERPRINT.format(table)


async def fingerprints(cluster: Cluster, port: int) -> Fingerprints:
    """Return the number of rows of each table, and the sum of their hashes."""
    found: Fingerprints = {}
    for database in await _databases(cluster, port):
        async with _connection(cluster, port, database) as connection:
            for (table,) in await connection.fetch(TABLES):
                row = await connection.fetchrow(_fingerprint_of(table))
                found[database, table] = tuple(row)
    return found
