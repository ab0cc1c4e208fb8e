"""`enroll demo` beside writers of the catalogue."""

import asyncio

import asyncpg
from uuid_utils.compat import uuid7

from cli.demo import create_demo_courses
from infra.settings import Settings
from services.task_names import TaskName
from tests.factories import eventually


async def test_demo_courses_and_another_writer_do_not_wait_for_each_other(new_database):
    url = await new_database()
    writer, watcher = [await asyncpg.connect(url) for _ in range(2)]
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with writer.transaction():
        await writer.execute(
            "INSERT INTO courses (id, title, description, difficulty) "
            "VALUES ($1, 'Own', 'Own', 'Intermediate')",
            uuid7(),
        )
        creating = asyncio.create_task(
            create_demo_courses(Settings(_env_file=None, database_url=url))
        )
        await eventually(lambda: watcher.fetchval(waiting))
        await writer.execute(
            "INSERT INTO tasks (id, name, args, dedupe_key) VALUES ($1, $2, '{}', $2)",
            uuid7(),
            TaskName.WARM_CACHE,
        )
    assert await creating == 0
    assert await watcher.fetchval("SELECT count(*) FROM courses") == 1
    for each in (writer, watcher):
        await each.close()
