"""With 100,000 courses, 1,000,000 enrollments and 300,000 tasks no table is scanned whole."""

import asyncio
import json
import logging
import os
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID

import pytest
from celery import Celery
from uuid_utils.compat import uuid7

from infra.db.engine import database, direct_connection, primary
from infra.queue import graphs, operations, queries, workflows
from infra.queue.publish import PLANNER
from infra.queue.queries import TaskFilters
from infra.queue.stats import MOST_COUNTED, kind_stats, queue_stats, unfinished
from models import Course, Difficulty, Enrollment, TaskState
from services.catalogue import queries as catalogue_queries
from services.catalogue.queries import Filters, Sort
from services.enrollments import listing
from services.enrollments.listing import EnrollmentFilters
from tasks.registry import Registration
from tests import forkserver
from worker.relay import Relay

COURSES, ENROLLMENTS = 100_000, 1_000_000
SEED_SECONDS = 600
BIG_TABLES = {"courses", "enrollments", "tasks", "image_variants"}
# Most are done; some failed, wait, are published or run; the latest come last.
TASKS = """
    INSERT INTO tasks (id, name, args, queue, state, attempts, max_attempts, available_at,
                       created_at, started_at, finished_at, published_at, lease_until, worker,
                       workflow_id)
    SELECT gen_random_uuid(), 'test.' || n % 9, '{}', 'default', state, 1, 9, at, at,
           at, CASE WHEN state IN ('succeeded', 'failed') THEN at END,
           CASE WHEN is_out THEN now() END,
           CASE WHEN is_out THEN now() + interval '1 hour' END, 'a worker',
           CASE WHEN n % 100 = 0 THEN '01a22b6c-837c-7679-8aa7-07d4f727237e'::uuid END
    FROM generate_series(1, 300000) AS n,
         LATERAL (SELECT now() - make_interval(secs => 300000 - n) AS at,
                         CASE WHEN n % 5 = 0 THEN 'failed' WHEN n < 299000 THEN 'succeeded'
                              WHEN n > 299990 THEN 'running' ELSE 'queued' END AS state,
                         n > 299800 AND n % 5 <> 0 AS is_out) AS told
"""
WORKFLOW = UUID("01a22b6c-837c-7679-8aa7-07d4f727237e")
WRITTEN = """
    INSERT INTO courses (id, title, description, difficulty)
    SELECT gen_random_uuid(), 'Algebra ' || n,
           (SELECT string_agg(md5((n * word)::text), ' ') FROM generate_series(1, 3) AS word),
           'Beginner'
    FROM generate_series(1, 6000) AS n
"""
PICTURES = """
    INSERT INTO image_variants (id, course_id, width, height, format, bytes, key)
    SELECT gen_random_uuid(), id, width, width, 'webp', 1, 'images/' || id || '/' || width
    FROM (SELECT id FROM courses ORDER BY created_at DESC LIMIT $1) AS pictured,
         unnest('{320,640,1280}'::int[]) AS width
"""
# A kind whose every attempt failed, as when a bucket is down: all wait, none is due.
TOMORROW = """
    INSERT INTO tasks (id, name, args, available_at)
    SELECT gen_random_uuid(), 'test.1', '{}', now() + interval '1 day' + n * interval '1 s'
    FROM generate_series(1, 200000) AS n
"""

pytestmark = pytest.mark.timeout(SEED_SECONDS + 120)


@pytest.fixture(scope="module")
async def seeded(new_database):
    """A database of that size, filled by `enroll seed`."""
    url = await new_database()
    await _enroll(url, "seed", "--courses", str(COURSES), "--enrollments", str(ENROLLMENTS))
    async with direct_connection(url) as connection:
        await connection.execute(TASKS)
        await connection.execute(PICTURES, COURSES // 10)
        await connection.execute("ANALYZE tasks, image_variants")
    return url


@pytest.fixture
async def written(new_database):
    """A database whose courses were written as by the API, without a vacuum since."""
    url = await new_database(migrated=False)
    # In a process of its own, for Tortoise in this process is already initialised.
    await _enroll(url, "migrate")
    async with direct_connection(url) as connection:
        await connection.execute(WRITTEN)
        await connection.execute("ANALYZE courses")
    return url


async def _enroll(url, *arguments):
    environment = os.environ | {"DATABASE_URL": url}
    done = await forkserver.enroll(*arguments, env=environment, seconds=SEED_SECONDS)
    assert done.code == 0, done.errors


async def _first_course():
    return await Course.all().order_by("created_at").first()


async def _first_enrollment():
    return await Enrollment.all().order_by("-enrolled_at").first()


LIMIT = 100
ADVANCED = frozenset({Difficulty.ADVANCED})
TWO = ADVANCED | {Difficulty.BEGINNER}
# At nine tenths of each listing, and at one tenth.
FAR_PAGES = {
    "newest": (Filters(), 900),
    "oldest": (Filters(sort=Sort.OLDEST), 900),
    "by title": (Filters(sort=Sort.TITLE), 900),
    "one difficulty": (Filters(difficulties=ADVANCED), 300),
    "two difficulties": (Filters(difficulties=TWO), 600),
    "two by title": (Filters(difficulties=TWO, sort=Sort.TITLE), 600),
    "early": (Filters(), 100),
    "hardly far": (Filters(), 2),
    "beyond the last": (Filters(), 2000),
}
# Searches with at most a thousand matches, and with more.
FEW = {
    "none": "no such course",
    "no letter": "z",
    "no pair": "zq",
    "a sign": "%",
    "three letters": "123",
    "two words": "Applied Algebra",
    "common words in a rare order": "an oral examination with",
}
MANY = {
    "one letter": "E",
    "two letters": "in",
    "a common word": "LEARN",
    "common letters": "ora",
    "two in a row": "learn learn",
}
READS = {
    "newest": lambda _c, _e: catalogue_queries.newest(str),
    "page": lambda _c, _e: catalogue_queries.page(Filters(), 3, 100, str),
    "oldest": lambda _c, _e: catalogue_queries.page(Filters(sort=Sort.OLDEST), 1, 10, str),
    "by title": lambda _c, _e: catalogue_queries.page(Filters(sort=Sort.TITLE), 1, 10, str),
    "one difficulty": lambda _c, _e: catalogue_queries.page(
        Filters(difficulties=ADVANCED), 2, 10, str
    ),
    "two difficulties": lambda _c, _e: catalogue_queries.page(
        Filters(difficulties=TWO), 1, 10, str
    ),
    **{
        f"far page, {name}": lambda _c, _e, filters=filters, number=number: catalogue_queries.page(
            filters, number, LIMIT, str
        )
        for name, (filters, number) in FAR_PAGES.items()
    },
    "search": lambda _c, _e: catalogue_queries.page(Filters(search="algebra 4242"), 1, 10, str),
    "search and difficulty": lambda _c, _e: catalogue_queries.page(
        Filters(search="Algebra 42", difficulties=ADVANCED), 1, 10, str
    ),
    **{
        f"search, {name}": lambda _c, _e, search=search: catalogue_queries.page(
            Filters(search), 1, 10, str
        )
        for name, search in (FEW | MANY).items()
    },
    "course": lambda c, _e: catalogue_queries.course(c.id, str),
    "courses": lambda c, _e: catalogue_queries.courses([c.id], str),
    "of student": lambda _c, e: listing.of_student(primary(), e.student_email, 1, 1000),
    "students of course": lambda c, _e: listing.students_of(primary(), c.id, 1, 5),
    "enrollments": lambda _c, _e: listing.page(primary(), EnrollmentFilters(), 2, 100, str),
    "enrollments of course": lambda c, _e: listing.page(
        primary(), EnrollmentFilters(course_id=c.id), 1, 10, str
    ),
    "enrollments of student": lambda _c, e: listing.page(
        primary(), EnrollmentFilters(student_email=e.student_email), 1, 10, str
    ),
    "students": lambda _c, _e: listing.students(primary(), 5, 100),
    "tasks of the queues": lambda _c, _e: queue_stats(),
    "tasks of the kinds": lambda _c, _e: kind_stats(primary()),
    "unfinished tasks": lambda _c, _e: unfinished(later=False),
    "tasks of a workflow": lambda _c, _e: workflows.summary_of(WORKFLOW),
    "the latest workflows": lambda _c, _e: workflows.list_workflows(10),
    "the graph of a workflow": lambda _c, _e: graphs.graph_of(WORKFLOW),
    "predecessors": lambda _c, _e: workflows.predecessors_of([uuid7()]),
    "a page of a workflow": lambda _c, _e: queries.list_page(
        TaskFilters(workflow_id=WORKFLOW), 100
    ),
    "latest tasks": lambda _c, _e: queries.list_tasks(TaskFilters(), 100),
    "failed tasks": lambda _c, _e: queries.list_tasks(
        TaskFilters(states=frozenset({TaskState.FAILED})), 100
    ),
    "old tasks": lambda _c, _e: operations.prune(datetime(2000, 1, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("read", READS)
async def test_no_read_scans_a_table_whole(seeded, caplog, read):
    queries = await _sent(seeded, caplog, READS[read])
    async with direct_connection(seeded) as connection:
        await _assert_indexed(connection, queries)


async def _sent(url, caplog, read):
    async with database(url, pool_size=1):
        course, enrollment = await _first_course(), await _first_enrollment()
        with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
            await read(course, enrollment)
    queries = [
        record.args
        for record in caplog.records
        if record.name == "tortoise.db_client" and "SELECT" in str(record.args[0])
    ]
    assert queries
    return queries


@pytest.mark.parametrize("name", FEW | MANY)
async def test_a_search_counts_exactly_and_reads_few_pages_for_few_matches(seeded, caplog, name):
    search = (FEW | MANY)[name]
    [(query, values)] = await _sent(seeded, caplog, READS[f"search, {name}"])
    async with direct_connection(seeded) as connection:
        plan = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *values
        )
        rows = await connection.fetch(query, *values)
        expected = await connection.fetchval(
            "SELECT count(*) FROM courses WHERE strpos(lower(title), $1) > 0 "
            "OR strpos(lower(description), $1) > 0",
            search.lower(),
        )
    assert rows[0]["total"] == expected
    assert (expected <= 1000) == (name in FEW)
    # No parallel workers: a search must not take the processors from others.
    nodes = list(_nodes(json.loads(plan)[0]["Plan"]))
    assert not [node for node in nodes if node["Node Type"].startswith("Gather")]
    pages = await _table_pages(seeded)
    assert _pages(nodes[0]) <= (pages / 2 if name in FEW else 2 * pages), plan


async def _table_pages(url):
    async with direct_connection(url) as connection:
        size = "SELECT pg_relation_size('courses') / current_setting('block_size')::int"
        return await connection.fetchval(size)


@pytest.mark.parametrize("page", FAR_PAGES)
async def test_a_far_page_is_skipped_in_an_index_from_the_nearer_end(seeded, caplog, page):
    [(query, values)] = await _sent(seeded, caplog, READS[f"far page, {page}"])
    # After five executions PostgreSQL uses a generic plan.
    settings = {"plan_cache_mode": "force_generic_plan"}
    async with direct_connection(seeded, settings=settings) as connection:
        await connection.execute(f"PREPARE page AS {query}")
        literals = ", ".join([await _literal(connection, value) for value in values])
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page({literals})")
    nodes = list(_nodes(json.loads(plan)[0]["Plan"]))
    assert not [node for node in nodes if _scans_whole(node)], plan
    walks = [node for node in nodes if node["Node Type"] == "Index Only Scan"]
    assert len(walks) == 2
    if not FAR_PAGES[page][0].difficulties and FAR_PAGES[page][0].sort is not Sort.TITLE:
        assert {node["Index Name"] for node in walks} == {"ix_courses_newest"}
    assert sum(node["Actual Rows"] for node in walks) <= COURSES // 10 + LIMIT
    assert sum(node["Heap Fetches"] for node in walks) <= LIMIT
    sorts = [node for node in nodes if node["Node Type"] == "Sort"]
    for node in sorts:
        # Each course of the page may have an image in three sizes.
        most = 3 * LIMIT if "image_variants.course_id" in node["Sort Key"] else LIMIT
        assert node["Plans"][0]["Actual Rows"] <= most, node


@pytest.mark.parametrize(("number", "limit"), [(1, 10), (1, 20), (1, 100), (6, 20), (60, 20)])
async def test_pages_share_a_plan(seeded, caplog, number, limit):
    [(query, values)] = await _sent(
        seeded, caplog, lambda _c, _e: catalogue_queries.page(Filters(), number, limit, str)
    )
    async with direct_connection(seeded) as connection:
        page = await connection.prepare(query)
        for _ in range(6):  # the first five are planned for their own values
            await page.fetch(*values)
        assert await connection.fetchval(
            "SELECT generic_plans FROM pg_prepared_statements WHERE name = $1", page.get_name()
        )
        await _assert_indexed(connection, [(query, values)])


async def _literal(connection, value):
    if isinstance(value, int):
        return str(value)
    return await connection.fetchval("SELECT quote_literal($1::text[])", value)


async def test_a_search_uses_its_index_while_courses_are_written(written, caplog):
    queries = await _sent(written, caplog, READS["search"])
    async with direct_connection(written) as connection:
        await _assert_indexed(connection, queries, {"courses"})


@pytest.mark.parametrize("read", ["newest", "page", "search"])
async def test_a_few_images_are_not_scanned_once_per_course(written, caplog, read):
    async with direct_connection(written) as connection:
        await connection.execute(PICTURES, 80)
        await connection.execute("ANALYZE image_variants")
        [(query, values)] = await _sent(written, caplog, READS[read])
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *values)
    nodes = list(_nodes(json.loads(plan)[0]["Plan"]))
    whole = [node for node in nodes if _scans_whole(node, {"image_variants"})]
    assert all(node["Actual Loops"] == 1 for node in whole), plan


async def test_the_relay_scans_no_table_whole(seeded):
    queue = f"test-{uuid7().hex}"
    kinds = {
        name: Registration(name, _nothing, queue, 9, 60, (), None)
        for name in (f"test.{number}" for number in range(9))
    }
    ran = []
    async with direct_connection(seeded, settings=PLANNER) as connection:
        with (
            Celery(broker="memory://", config_source={"task_ignore_result": True}) as celery,
            closing(Relay(connection, celery, kinds)) as relay,
            connection.query_logger(ran.append),
        ):
            await relay.run_once()
            await asyncio.sleep(0)  # the logger runs later
        queries = [(each.query, each.args) for each in ran if " tasks" in each.query]
        for part in ("FOR UPDATE SKIP LOCKED)", "published_at = NULL", "GROUP BY queue", "kinds"):
            assert any(part in query for query, _ in queries), part
        await _assert_indexed(connection, queries)
        await connection.execute(TOMORROW)
        [publish] = [each for each in queries if "kinds" in each[0]]
        assert await _pages_to_find_due(connection, publish) < 1000


async def test_later_tasks_cost_the_statistics_no_more_than_due_ones(seeded, caplog):
    [(query, values)] = await _sent(seeded, caplog, READS["tasks of the kinds"])
    async with direct_connection(seeded) as connection:
        changes = connection.transaction()
        await changes.start()
        await connection.execute(TOMORROW)
        await connection.execute("ANALYZE tasks")
        # After five executions PostgreSQL uses a generic plan.
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        plan = json.loads(
            await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *values)
        )
        await changes.rollback()
    assert not [node for node in _nodes(plan[0]["Plan"]) if _scans_whole(node)]
    # A page a task that counts, and some of the index.
    assert _pages(plan[0]["Plan"]) < 3 * MOST_COUNTED


async def _pages_to_find_due(connection, query_and_values):
    query, values = query_and_values
    async with connection.transaction():
        plan = json.loads(
            await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *values)
        )
    [due] = [each for each in _nodes(plan[0]["Plan"]) if each.get("Subplan Name") == "CTE due"]
    [locks] = [each for each in _nodes(due) if each["Node Type"] == "LockRows"]
    # The cost of locking the found rows depends on vacuum.
    return _pages(due) - (_pages(locks) - sum(map(_pages, locks["Plans"])))


def _pages(node) -> int:
    return node["Shared Hit Blocks"] + node["Shared Read Blocks"]


async def _nothing(_context) -> None:
    """Does nothing."""


async def _assert_indexed(connection, queries, tables=BIG_TABLES):
    for query, values in queries:
        plan = json.loads(
            await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *values or [])
        )
        whole = [node for node in _nodes(plan[0]["Plan"]) if _scans_whole(node, tables)]
        assert not whole, f"{query}\n{json.dumps(plan, indent=1)}"


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _scans_whole(node, tables=BIG_TABLES):
    return node["Node Type"] == "Seq Scan" and node["Relation Name"] in tables
