"""GET and HEAD change no row of any table."""

import asyncpg
import httpx
import pytest
from passlib.context import CryptContext
from uuid_utils.compat import uuid7

from tests.factories import COURSE, bearer, new_email
from tests.security.servers import own_api
from tests.security.test_access import CONSOLE, EVERY_ROUTE

ADMIN = {"username": "admin-of-safe-methods", "password": "correct horse"}
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
READS = sorted({path for method, path in EVERY_ROUTE | CONSOLE if method == "GET"})
WORKFLOW = uuid7()


@pytest.fixture
async def database(new_database):
    """A database with an admin and a finished task of a workflow; its URL and a connection."""
    url = await new_database()
    connection = await asyncpg.connect(url)
    hashed = CryptContext(schemes=["bcrypt"], bcrypt__rounds=4).hash(ADMIN["password"])
    await connection.execute(
        "INSERT INTO users (id, username, password_hash, role) VALUES ($1, $2, $3, 'admin')",
        *(uuid7(), ADMIN["username"], hashed),
    )
    await connection.execute(
        "INSERT INTO tasks (id, name, args, queue, state, finished_at, workflow_id) "
        "VALUES ($1, 'test.unknown', '{}', 'test', 'failed', now(), $2)",
        *(uuid7(), WORKFLOW),
    )
    yield url, connection
    await connection.close()


async def contents(connection):
    """Return all rows of all tables."""
    names = [row["tablename"] for row in await connection.fetch(TABLES)]
    assert {"users", "sessions", "courses", "enrollments", "tasks", "audit_log"} <= set(names)
    return {
        name: sorted(
            row["row"] for row in await connection.fetch(f"SELECT t::text AS row FROM {name} t")
        )
        for name in names
    }


async def test_reading_changes_nothing(service, database, tmp_path):
    url, connection = database
    # No cached responses of another service, and no worker.
    settings = {"DATABASE_URL": url, "CACHE_URL": "memory://", "RATE_LIMIT_EXEMPT": "127.0.0.1"}
    async with (
        own_api(service, tmp_path, **settings) as server,
        httpx.AsyncClient(base_url=server.address, timeout=30) as client,
    ):
        login = await client.post("/api/v1/auth/login", json=ADMIN)
        headers = bearer(login.json()["token"])
        course = await client.post("/api/v1/courses", json=COURSE, headers=headers)
        email = new_email()
        enrolled = {"student_email": email, "course_id": course.json()["id"]}
        assert (await client.post("/api/v1/enrollments", json=enrolled)).status_code == 201
        task_id = await connection.fetchval("SELECT id FROM tasks WHERE name = 'test.unknown'")
        names = {
            "<course_id>": course.json()["id"],
            "<email>": email,
            "<task_id>": str(task_id),
            "<flag_name>": "searches",
            "<workflow_id>": str(WORKFLOW),
            "<queue>": "test",
            "/bulk": "/bulk?operation=retry",
        }
        # The console's pages; the API reads no cookie.
        assert (await client.post("/console/login", data=ADMIN)).status_code == 303
        before = await contents(connection)
        for path in READS:
            address = path
            for name, value in names.items():
                address = address.replace(name, value)
            for method in ("GET", "HEAD"):
                response = await client.request(method, address, headers=headers)
                assert response.status_code in {200, 302}, (method, address, response.text)
                assert await contents(connection) == before, (method, address)
