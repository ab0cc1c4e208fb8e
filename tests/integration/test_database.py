"""The database's constraints, and its agreement with the models."""

import asyncio
import sys
from random import Random

import asyncpg
import pytest
from tortoise import Tortoise
from uuid_utils.compat import uuid7

from infra.db.engine import UNUSABLE, database, is_connected, open_pool, primary
from infra.db.migrations import MIGRATIONS, migrate, migration_config
from infra.db.pool import PoolFull
from infra.db.transactions import transaction
from models import Course, Difficulty, Outcome, Role, TaskState

COURSE = "INSERT INTO courses (id, title, description, difficulty) VALUES ($1, $2, $3, $4)"
ID = "019aae3c-5f00-7cc0-8000-3f1bb9a3c001"
OTHER = "019aae3c-5f00-7cc0-8000-3f1bb9a3c002"
CATALOGUE = """
    SELECT 'column' AS kind, table_name || '.' || column_name AS name,
           concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default) AS what
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u', 'p')
    ORDER BY 1, 2
"""
MIGRATE = """
import asyncio, sys
from infra.db.migrations import migrate
print(asyncio.run(migrate(sys.argv[1])))
"""
# Tortoise and aerich cannot express these; the migration creates them by SQL.
BY_HAND = {
    "courses.search_text",
    "ix_courses_search",
    "ix_courses_search_pairs",
    "ck_audit_log_action",
    "ck_audit_log_count",
    "ck_audit_log_outcome",
    "ck_courses_description",
    "ck_courses_difficulty",
    "ck_courses_title",
    "ck_enrollments_student_email",
    "ck_image_variants_format",
    "ck_image_variants_size",
    "ck_feature_flags_definition",
    "ck_feature_flags_name",
    "ck_feature_flag_state_id",
    "feature_flag_state.id",
    "feature_flag_state.version",
    "feature_flag_state_pkey",
    "ck_idempotent_responses_digest",
    "catalogue_changes.course_id",
    "catalogue_changes.listed",
    "catalogue_changes.previous",
    "catalogue_changes.version",
    "catalogue_changes_pkey",
    "catalogue_version.id",
    "catalogue_version.version",
    "catalogue_version_pkey",
    "ck_catalogue_version_id",
    "ck_tasks_attempts",
    "ck_tasks_finished",
    "ck_tasks_progress",
    "ck_tasks_state",
    "ck_users_role",
    "ck_users_username",
}


async def test_the_migrations_create_the_schema_of_the_models(new_database):
    migrated, modelled = await new_database(), await new_database(migrated=False)
    await Tortoise.init(migration_config(modelled), _enable_global_fallback=True)
    try:
        connection = Tortoise.get_connection("default")
        await connection.execute_script("CREATE EXTENSION pg_trgm")
        await Tortoise.generate_schemas()
    finally:
        await Tortoise.close_connections()
    made, modelled_rows = [await _catalogue(url) for url in (migrated, modelled)]
    assert {name for _, name, _ in made - modelled_rows} >= BY_HAND
    assert {row for row in made ^ modelled_rows if row[1] not in BY_HAND} == set()


async def _catalogue(url):
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(CATALOGUE)
    await connection.close()
    return {tuple(row) for row in rows}


async def test_several_instances_can_migrate_concurrently(new_database):
    url = await new_database(migrated=False)
    starts = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    printed = [(await start.communicate())[0].decode().strip() for start in starts]
    assert [start.returncode for start in starts] == [0] * 4
    files = [path.name for path in (MIGRATIONS / "models").glob("[0-9]*.py")]
    applied = str(sorted(files, key=lambda name: int(name.partition("_")[0])))
    assert sorted(printed) == sorted([applied, "[]", "[]", "[]"])
    assert await migrate(url) == []


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        (("", "d", "Beginner"), "ck_courses_title"),
        (("t", "", "Beginner"), "ck_courses_description"),
        (("t", "d", "Expert"), "ck_courses_difficulty"),
    ],
)
async def test_invalid_courses_are_refused(connection, values, constraint):
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await connection.execute(COURSE, ID, *values)
    assert refused.value.constraint_name == constraint


async def test_a_title_over_its_length_is_refused(connection):
    with pytest.raises(asyncpg.StringDataRightTruncationError):
        await connection.execute(COURSE, ID, "t" * 256, "d", "Beginner")


ENROLLMENT = "INSERT INTO enrollments (id, student_email, course_id) VALUES ($1, $2, $3)"


async def test_a_student_is_enrolled_once_in_a_course(connection):
    await connection.execute(COURSE, ID, "t", "d", "Beginner")
    await connection.execute(ENROLLMENT, ID, "a@b.org", ID)
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await connection.execute(ENROLLMENT, OTHER, "a@b.org", ID)
    assert refused.value.constraint_name == "uq_enrollments_student_email_course_id"


async def test_an_enrollment_needs_its_course(connection):
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await connection.execute(ENROLLMENT, ID, "a@b.org", OTHER)
    assert refused.value.constraint_name == "enrollments_course_id_fkey"


@pytest.mark.parametrize("email", ["", "Upper@b.org"])
async def test_emails_must_be_lower_case(connection, email):
    await connection.execute(COURSE, ID, "t", "d", "Beginner")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(ENROLLMENT, ID, email, ID)


async def test_deleting_a_course_deletes_its_enrollments(connection):
    await connection.execute(COURSE, ID, "t", "d", "Beginner")
    await connection.execute(ENROLLMENT, ID, "a@b.org", ID)
    await connection.execute("DELETE FROM courses WHERE id = $1", ID)
    assert await connection.fetchval("SELECT count(*) FROM enrollments") == 0


USER = "INSERT INTO users (id, username, password_hash, role) VALUES ($1, $2, 'x', $3)"


async def test_usernames_are_unique_and_roles_are_checked(connection):
    await connection.execute(USER, ID, "somebody", "student")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(USER, OTHER, "somebody", "admin")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(USER, OTHER, "another", "root")


async def _totals(connection):
    totals = dict(await connection.fetch("SELECT difficulty, total FROM course_totals"))
    totals |= await connection.fetchrow(
        "SELECT sum(enrollments)::int AS enrollments, sum(students)::int AS students "
        "FROM enrollment_totals"
    )
    return {kind: total for kind, total in totals.items() if total}


async def test_totals_follow_the_courses(connection):
    rows = [(ID, "t", "d", "Beginner"), (OTHER, "t", "d", "Advanced")]
    await connection.executemany(COURSE, rows)
    assert await _totals(connection) == {"Beginner": 1, "Advanced": 1}
    await connection.execute("UPDATE courses SET difficulty = 'Advanced' WHERE id = $1", ID)
    assert await _totals(connection) == {"Advanced": 2}
    await connection.execute("DELETE FROM courses WHERE id = $1", ID)
    assert await _totals(connection) == {"Advanced": 1}


async def test_totals_follow_the_enrollments(connection):
    await connection.executemany(
        COURSE, [(ID, "t", "d", "Beginner"), (OTHER, "t", "d", "Beginner")]
    )
    rows = [(ID, "a@b.org"), (OTHER, "a@b.org"), (ID, "c@b.org")]
    insert = "INSERT INTO enrollments (id, course_id, student_email) VALUES ($1, $2, $3)"
    await connection.executemany(insert, [(uuid7(), *place) for place in rows])
    assert await _totals(connection) | {"Beginner": 0} == {
        "Beginner": 0,
        "enrollments": 3,
        "students": 2,
    }
    await connection.execute("DELETE FROM courses WHERE id = $1", ID)
    assert await _totals(connection) == {"Beginner": 1, "enrollments": 1, "students": 1}
    students = await connection.fetch("SELECT email, enrollment_count FROM students")
    assert [tuple(row) for row in students] == [("a@b.org", 1)]


async def test_totals_hold_under_concurrent_writes(new_database):
    url = await new_database()
    pool = await asyncpg.create_pool(url, min_size=8, max_size=8)
    ids = [uuid7() for _ in range(6)]
    await pool.executemany(COURSE, [(each, "t", "d", "Beginner") for each in ids])
    insert = (
        "INSERT INTO enrollments (id, course_id, student_email) VALUES ($1, $2, $3) "
        "ON CONFLICT DO NOTHING"
    )

    async def students(number):
        random = Random(number)
        for _ in range(100):
            email = f"{random.randrange(10)}@b.org"
            if random.random() < 0.6:
                await pool.execute(insert, uuid7(), random.choice(ids), email)
            else:
                await pool.execute("DELETE FROM enrollments WHERE student_email = $1", email)

    async def registrar():
        for each in ids[:3]:
            await pool.execute("DELETE FROM enrollments WHERE course_id = $1", each)

    await asyncio.gather(*map(students, range(8)), registrar(), registrar())
    counted = await pool.fetchrow(
        "SELECT count(*)::int, count(DISTINCT student_email)::int FROM enrollments"
    )
    totals = await _totals(pool)
    assert (totals.get("enrollments", 0), totals.get("students", 0)) == tuple(counted)
    await pool.close()


async def test_truncate_is_refused(connection):
    with pytest.raises(asyncpg.RaiseError, match="TRUNCATE of enrollments"):
        await connection.execute("TRUNCATE enrollments")


@pytest.mark.parametrize(
    ("enum", "constraint"),
    [
        (Difficulty, "ck_courses_difficulty"),
        (Outcome, "ck_audit_log_outcome"),
        (Role, "ck_users_role"),
        (TaskState, "ck_tasks_state"),
    ],
)
async def test_check_constraints_have_the_values_of_the_enums(connection, enum, constraint):
    check = await connection.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1", constraint
    )
    assert sorted(check.split("'")[1::2]) == sorted(enum)


@pytest.mark.parametrize(("prewarm", "open_at_once"), [(True, 3), (False, 1)])
async def test_a_prewarmed_pool_is_open_before_its_first_use(new_database, prewarm, open_at_once):
    own = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with database(await new_database(migrated=False), pool_size=3, prewarm=prewarm):
        pool = Tortoise.get_connection("default")
        _, rows = await pool.execute_query(own)
        assert rows[0][0] == open_at_once


async def test_a_connection_is_returned_without_a_round_trip(new_database):
    async with database(await new_database(migrated=False), pool_size=1):
        pool = Tortoise.get_connection("default")
        await pool.execute_query("SELECT 1")
        sent = []
        async with pool.acquire_connection() as connection:
            server = connection.get_server_pid()
            connection.add_query_logger(lambda record: sent.append(record.query))
            await connection.fetch("SELECT 2")
        _, rows = await pool.execute_query("SELECT pg_backend_pid()")
        await asyncio.sleep(0)  # the logger runs in the loop's next iteration
        assert (rows[0][0], sent) == (server, ["SELECT 2", "SELECT pg_backend_pid()"])


async def test_a_cancelled_transaction_is_rolled_back_before_the_connection_is_reused(new_database):
    async with database(await new_database(), pool_size=1):
        pool = Tortoise.get_connection("default")
        inside = asyncio.Event()

        async def work():
            async with transaction() as connection:
                await connection.execute_query(COURSE, [ID, "T", "D", "Beginner"])
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await Course.exists(id=ID)
        async with pool.acquire_connection() as connection:
            assert not connection.is_in_transaction()


@pytest.mark.parametrize("left", ["SELECT 1", "BEGIN"])
async def test_a_connection_is_returned_clean_and_by_a_task_only_if_that_takes_time(
    new_database, left
):
    async with database(await new_database(migrated=False), pool_size=1):
        pool = Tortoise.get_connection("default")
        loop, tasks = asyncio.get_running_loop(), []

        def note(loop, work, **options):
            tasks.append(work)
            return asyncio.Task(work, loop=loop, **options)

        async with pool.acquire_connection() as connection:
            await connection.execute(left)
            loop.set_task_factory(note)
        loop.set_task_factory(None)
        assert len(tasks) == (left == "BEGIN")
        async with pool.acquire_connection() as connection:
            assert not connection.is_in_transaction()


async def test_a_cancelled_statement_leaves_its_connection_usable(new_database):
    async with database(await new_database(migrated=False), pool_size=1):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await primary().execute_query("SELECT pg_sleep(60)")
        assert await is_connected(primary())


async def test_waiting_for_a_connection_is_first_in_first_out(new_database):
    async with database(await new_database(migrated=False), pool_size=1):
        pool = Tortoise.get_connection("default")
        order = []

        async def use(name):
            async with pool.acquire_connection():
                order.append(name)

        async with pool.acquire_connection():
            waiting = [asyncio.create_task(use(name)) for name in ("first", "gone", "second")]
            await asyncio.sleep(0.05)
            waiting[1].cancel()
        await use("late")
        await asyncio.gather(*waiting, return_exceptions=True)
        assert order == ["first", "second", "late"]


async def test_a_pool_keeps_its_size_whatever_happens_to_its_connections(new_database):
    async with database(await new_database(migrated=False), pool_size=2, wait_seconds=0.2):
        pool = Tortoise.get_connection("default")
        for _ in range(3):
            async with pool.acquire_connection() as connection:
                with pytest.raises(UNUSABLE):
                    await connection.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
        async with pool.acquire_connection() as one, pool.acquire_connection() as other:
            assert await one.fetchval("SELECT 1") == await other.fetchval("SELECT 1") == 1
            for _ in range(3):
                with pytest.raises(PoolFull):
                    await primary().execute_query("SELECT 1")
        assert await is_connected(primary())


async def test_a_full_pool_is_told_from_a_database_that_is_down(new_database):
    url = await new_database(migrated=False)
    async with database(url, pool_size=1, wait_seconds=0.1), open_pool(url, pool_size=1) as beside:
        async with Tortoise.get_connection("default").acquire_connection():
            assert await is_connected(beside)
            assert not await is_connected(primary())
        assert await is_connected(primary())
    async with open_pool("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1) as gone:
        assert not await is_connected(gone)
