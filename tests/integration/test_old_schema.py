"""A database of the last 0.x release is adopted; an older one is refused with instructions."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import asyncpg
import pytest

from infra.db import adoption
from infra.db.adoption import LAST_OF_0, SchemaTooOldError
from infra.db.migration_files import MIGRATIONS
from infra.db.migrations import migrate

# A `pg_dump --schema-only` after the last migration of 0.x, with the totals and aerich's rows.
SCHEMA = Path(__file__).with_name("schema_0.1.sql").read_text("utf-8")
ENROLL, AERICH = (Path(sys.executable).with_name(name) for name in ("enroll", "aerich"))
# A database of 0.x adopts the first, and has all others applied.
ALL = sorted(
    (path.name for path in (MIGRATIONS / "models").glob("[0-9]*.py")),
    key=lambda name: int(name.partition("_")[0]),
)
ID = "019aae3c-5f00-7cc0-8000-3f1bb9a3c001"
DATA = f"""
    INSERT INTO users (id, username, password_hash, role) VALUES ('{ID}', 'admin', 'x', 'admin');
    INSERT INTO tasks (id, name, args) VALUES ('{ID}', 'images.process', '{{}}');
    INSERT INTO courses (id, title, description, difficulty, image_task_id)
        VALUES ('{ID}', 'Die STRAẞE', 'd', 'Beginner', '{ID}');
    INSERT INTO enrollments (id, student_email, course_id) VALUES ('{ID}', 'a@b.org', '{ID}');
    INSERT INTO audit_log (id, action, outcome) VALUES ('{ID}', 'course.create', 'done');
"""
TABLES = ("users", "courses", "enrollments", "audit_log", "students", "enrollment_totals")
# Everything in a schema except the order of columns and the comments of tables.
SHAPE = """
    SELECT 'column' AS kind, table_name || '.' || column_name AS name, concat_ws(' ', data_type,
        character_maximum_length, is_nullable, column_default, generation_expression) AS what
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'storage', attrelid::regclass || '.' || attname,
        attstorage::text || coalesce(attstattarget, -1)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'options', relname, array_to_string(reloptions, ', ') FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', proname, pg_get_functiondef(pg_proc.oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prolang <> 13
    UNION ALL
    SELECT 'extension', extname, '' FROM pg_extension
"""
FOLDED = """
    SELECT string_agg(search_text(chr(code) || 'x' || chr(code)), '' ORDER BY code)
    FROM generate_series(1, 70000) AS code WHERE code NOT BETWEEN 55296 AND 57343
"""


@pytest.fixture
async def old(new_database):
    """A database of the last 0.x release with data."""
    url = await new_database(migrated=False)
    connection = await asyncpg.connect(url)
    await connection.execute(SCHEMA)
    await connection.execute("RESET search_path")
    await connection.execute(DATA)
    yield url, connection
    await connection.close()


async def _rows(connection, table, one):
    # A later migration may have added columns.
    return await connection.fetch(f"SELECT {', '.join(one.keys())} FROM {table}")


async def _shape(connection):
    rows = await connection.fetch(SHAPE)
    return {(row["kind"], row["name"]): _normal(row) for row in rows}


def _normal(row):
    # Its behaviour is compared separately: the text depends on the Python that generated it.
    if (row["kind"], row["name"]) == ("function", "search_text"):
        return ""
    # A dump writes more casts and brackets, and functions have other comments.
    text = re.sub(r"--.*|::(text|character varying)(\[\])?", "", row["what"] or "")
    return re.sub(r"[\s()]+", "", text)


async def test_a_database_of_the_last_old_release_becomes_equal_to_a_new_one(old, new_database):
    url, connection = old
    before = {table: await connection.fetch(f"SELECT * FROM {table}") for table in TABLES}
    assert await migrate(url) == ALL
    assert await migrate(url) == []
    known = await connection.fetch("SELECT version FROM aerich ORDER BY id")
    assert [row["version"] for row in known] == ALL
    fresh = await asyncpg.connect(await new_database())
    adopted, new = await _shape(connection), await _shape(fresh)
    folded = [await each.fetchval(FOLDED) for each in (connection, fresh)]
    await fresh.close()
    assert {key: value for key, value in adopted.items() if new.get(key) != value} == {}
    assert new.keys() == adopted.keys()
    assert folded[0] == folded[1]
    assert {table: await _rows(connection, table, before[table][0]) for table in TABLES} == before
    await connection.execute("DELETE FROM courses")
    assert await connection.fetchval("SELECT sum(enrollments)::int FROM enrollment_totals") == 0


async def test_several_instances_adopt_it_once(old):
    url, _ = old
    starts = [asyncio.create_task(_enroll(url)) for _ in range(3)]
    outcomes = [await start for start in starts]
    applied = "\n".join(f"applied {name}" for name in ALL)
    assert sorted(outcomes) == sorted([(0, applied, ""), (0, "", ""), (0, "", "")])


async def test_a_failed_adoption_changes_nothing(old, monkeypatch, tmp_path):
    url, connection = old
    failing = tmp_path / "failing.sql"
    failing.write_text("DROP TABLE uploads; SELECT 1 / 0")
    monkeypatch.setattr(adoption, "UPGRADE_FROM_0", failing)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(url)
    monkeypatch.undo()
    assert await connection.fetchval("SELECT count(*) FROM uploads") == 0
    assert await migrate(url) == ALL


async def test_an_older_database_is_refused_with_instructions(old):
    url, connection = old
    await connection.execute("DELETE FROM aerich WHERE version = $1", LAST_OF_0)
    with pytest.raises(SchemaTooOldError, match="the last 0"):
        await migrate(url)
    code, _, error = await _enroll(url)
    assert code == 1
    assert error.startswith("enroll: the database is at migration 11_")
    assert len(error.splitlines()) == 1


async def test_aerich_finds_no_change_without_a_migration(new_database, tmp_path):
    # A copy, for aerich writes its migration beside the others.
    shutil.copytree(MIGRATIONS / "models", tmp_path / "migrations" / "models")
    shutil.copy(MIGRATIONS.parent / "pyproject.toml", tmp_path)
    command = (AERICH, "migrate", "--name", "new", "--no-input")
    code, out, error = await _run(tmp_path, command, await new_database())
    assert (code, out, error) == (0, "No changes detected", "")


async def _enroll(url):
    return await _run(None, (ENROLL, "migrate"), url)


async def _run(folder, command, url):
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=os.environ | {"DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode, out.decode().strip(), error.decode().strip()
