"""Millions of enrolments in half a minute: by one statement, with indexes and totals made after.

`enroll seed` goes the way of all inserts, row triggers and foreign keys included; five million
take it minutes, which a benchmark has not.
"""

import asyncpg

INSERT = """
INSERT INTO enrollments (id, student_email, course_id, enrolled_at)
SELECT gen_random_uuid(), 'student' || (n / 5) || '.bulk@example.edu',
       ids[1 + (n / 5 + (n % 5) * (array_length(ids, 1) / 5)) % array_length(ids, 1)],
       now() - ($1 - n) * interval '1 ms'
FROM generate_series(0, $1::int - 1) n, (SELECT array_agg(id) AS ids FROM courses) known
"""
COUNT = """
INSERT INTO students (email, enrollment_count)
SELECT student_email, count(*) FROM enrollments GROUP BY student_email;
UPDATE enrollment_totals SET enrollments = (SELECT count(*) FROM enrollments),
                             students = (SELECT count(*) FROM students)
WHERE slot = (SELECT min(slot) FROM enrollment_totals);
"""


async def enrol(connection: asyncpg.Connection, count: int) -> None:
    """Add so many enrolments, five a student, to a database that has courses and none of them."""
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes "
        "WHERE tablename = 'enrollments' AND indexname <> 'enrollments_pkey'"
    )
    # Without triggers and foreign keys; their effects are written below.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SET maintenance_work_mem = '512MB'")
    for index in indexes:
        await connection.execute(f'DROP INDEX "{index["indexname"]}"')
    await connection.execute(INSERT, count)
    for index in indexes:
        await connection.execute(index["indexdef"])
    await connection.execute(COUNT)
    await connection.execute("RESET session_replication_role")
