"""Another team uses the queue: the wheel beside their `models` and `infra`, in their database."""

import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher, ProcessSpec
from deploy.embedded.servers import running
from infra.db.migration_files import MigrationError, Tables
from infra.db.migrations import migrate
from tests.factories import eventually
from tests.plugins.wheels import ROOT, build_wheel, install

EXAMPLES = ROOT / "docs" / "examples"
TABLES = """
    SELECT table_name, column_name, data_type, column_default, is_nullable
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND (table_name = 'tasks' OR table_name LIKE 'task\\_%')
    ORDER BY table_name, column_name
"""
INDEXES = """
    SELECT replace(indexdef, schemaname || '.', '') AS indexdef FROM pg_indexes
    WHERE schemaname = current_schema() AND (tablename = 'tasks' OR tablename LIKE 'task\\_%')
    UNION ALL
    SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace
      AND (conrelid = 'tasks'::regclass) AND contype NOT IN ('n', 't')
    ORDER BY 1
"""
IMPORT_ALL = """
import os, pkgutil, sys
from importlib import import_module
import course_enrollment
found = pkgutil.walk_packages(course_enrollment.__path__, "course_enrollment.")
names = [each.name for each in found]
for each in names:
    if not each.endswith("__main__") and ".deploy" not in each and ".migrations" not in each:
        import_module(each)
tops = {"api", "cli", "deploy", "infra", "models", "services", "tasks", "worker", "celeryconfig"}
here = os.getcwd()
print(len(names), *(each for each in tops & sys.modules.keys()
                    if not sys.modules[each].__file__.startswith(here)))
"""
FASTAPI = """
from fastapi.testclient import TestClient
from {program} import app
with TestClient(app) as client:
    print(*(client.post(f"/orders/{{each}}").status_code for each in ("ada", "stranger")))
"""
LETTER = """
from fastapi.testclient import TestClient
from fastapi_asyncpg import app
with TestClient(app) as client:
    taken = client.post("/orders/ada").json()
    print(client.get(f"/letters/{taken['task']}").json())
"""
DJANGO = """
import {program}
from django.test import Client
print(*(Client().post(f"/orders/{{each}}").status_code for each in ("ada", "stranger")))
"""


@dataclass
class Shop:
    """The other team's folder and servers, and the programs of their environment."""

    folder: Path
    bin: Path
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a program of their environment in their folder; return what it prints."""
        done = subprocess.run(
            (self.bin / command[0], *command[1:]),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
async def servers(tmp_path_factory):
    """A database server and a broker that no worker of the service uses."""
    async with running(
        tmp_path_factory.mktemp("servers"), {"postgres", "broker"}, fsync=False
    ) as chosen:
        yield chosen.environment


@pytest.fixture(scope="module")
async def shop(wheel, servers, tmp_path_factory):
    """The shop of docs/examples with the wheel, its tables and a worker."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(EXAMPLES, folder / "shop", ignore=shutil.ignore_patterns("__pycache__"))
    url = servers["DATABASE_URL"]
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    shop = Shop(
        folder / "shop",
        install(wheel, folder / "venv"),
        {
            **inherited,
            "DATABASE_URL": f"{url}{'&' if '?' in url else '?'}search_path=queue",
            "BROKER_URL": servers["BROKER_URL"],
            "SHOP_DATABASE_URL": url.partition("?")[0],
            "TASK_APP": "shop",
        },
    )
    shop.run("enroll", "migrate", "--only", "queue")
    command = (str(shop.bin / "enroll"), "worker", "--app", "shop", "--concurrency", "1")
    async with Launcher(DataDir(folder)) as launcher:
        worker = ProcessSpec("worker", command, environment=shop.environment, folder=shop.folder)
        process = await launcher.start(worker)
        yield shop
        await process.stop()


@pytest.fixture
async def connection(shop):
    """A connection of the shop."""
    connection = await asyncpg.connect(shop.environment["SHOP_DATABASE_URL"])
    yield connection
    await connection.close()


def test_the_page_shows_the_file_that_runs():
    page = (ROOT / "docs" / "queue-quickstart.md").read_text("utf-8")
    shown = page.partition("```python shop.py\n")[2].partition("```")[0]
    assert shown == (EXAMPLES / "shop.py").read_text("utf-8")


def test_the_wheel_takes_one_name(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"course_enrollment"}


def test_modules_of_the_wheel_import_each_other_only(shop):
    """Each module is imported from a folder whose `models` and `infra` are others."""
    number, *others = shop.run("python", "-c", IMPORT_ALL).split()
    assert int(number) > 200
    assert others == []


@pytest.mark.parametrize(
    ("program", "caller"),
    [("fastapi_asyncpg", FASTAPI), ("fastapi_sqlalchemy", FASTAPI), ("django_psycopg", DJANGO)],
)
async def test_an_order_and_its_task_commit_together_or_not_at_all(
    shop, connection, program, caller
):
    assert shop.run("python", "-c", caller.format(program=program)).split() == ["201", "409"]
    assert await connection.fetchval("SELECT count(*) FROM orders WHERE email = 'stranger'") == 0
    (order,) = await connection.fetch("SELECT id FROM orders")

    async def is_confirmed() -> bool:
        return await connection.fetchval(
            "SELECT state = 'succeeded' FROM queue.tasks WHERE args ->> 'order' = $1",
            str(order["id"]),
        )

    await eventually(is_confirmed)
    letter = await connection.fetchval("DELETE FROM orders RETURNING letter")
    assert letter == "Dear ada, your order has arrived."
    assert await connection.fetchval("SELECT count(*) FROM queue.tasks WHERE queue = 'shop'") == 1
    await connection.execute("DELETE FROM queue.tasks WHERE queue = 'shop'")


async def test_a_program_waits_for_what_its_task_returns(shop, connection):
    assert shop.run("python", "-c", LETTER).strip() == "Dear ada, your order has arrived."
    await connection.execute("DELETE FROM orders")
    await connection.execute("DELETE FROM queue.tasks WHERE queue = 'shop'")


async def test_arguments_that_the_task_does_not_take_are_refused_where_it_is_enqueued(shop):
    code = (
        "import shop\n"
        "from course_enrollment.queue import InvalidArguments, enqueue, run_blocking\n"
        "try:\n"
        "    run_blocking(enqueue('shop.confirm', {'order': 'no UUID'}))\n"
        "except InvalidArguments as error:\n"
        "    print(error)\n"
    )
    assert "order" in shop.run("python", "-c", code)


async def test_operators_have_the_commands_of_the_queue(shop, connection):
    task = await connection.fetchval(
        "INSERT INTO queue.tasks (id, name, args, available_at)"
        " VALUES (gen_random_uuid(), 'shop.confirm', '{}', 'infinity') RETURNING id"
    )
    shop.run("enroll", "tasks", "cancel", str(task))
    assert await connection.fetchval("SELECT state FROM queue.tasks WHERE id = $1", task) == (
        "cancelled"
    )
    shop.run("enroll", "queues", "pause", "shop")
    await connection.execute("DELETE FROM queue.task_queues")
    schedules = shop.run("enroll", "schedule", "list")
    assert "maintenance.prune_tasks" in schedules
    assert "sessions" not in schedules
    shop.run("enroll", "migrate", "--only", "queue", "status")


async def test_the_shops_database_has_no_table_of_courses(shop, connection):
    found = await connection.fetch(
        "SELECT relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace "
        "WHERE nspname IN ('queue', 'public') AND relkind = 'r'"
    )
    tables = {row["relname"] for row in found}
    # The shop makes `orders` itself, when its programs start.
    own = {each for each in tables if not each.startswith("task")}
    assert own - {"orders"} == {"aerich"}


async def test_the_tables_of_the_queue_are_those_of_the_service(shop, servers, connection):
    await connection.execute("CREATE DATABASE whole")
    url = servers["DATABASE_URL"].replace("/course_enrollment", "/whole")
    await migrate(url)
    whole = await asyncpg.connect(url)
    await connection.execute("SET search_path = queue")
    for query in (TABLES, INDEXES):
        assert await connection.fetch(query) == await whole.fetch(query)
    await whole.close()
    with pytest.raises(MigrationError, match="has all: migrate it without --only queue"):
        await migrate(url, tables=Tables.QUEUE)
    with pytest.raises(MigrationError, match="the queue only: migrate it with --only queue"):
        await migrate(shop.environment["DATABASE_URL"])
    assert await migrate(shop.environment["DATABASE_URL"], tables=Tables.QUEUE) == []
