"""What the probes of a load balancer need: migrations, and a database that answers in time."""

import asyncpg
import httpx

from deploy.embedded.servers import running
from infra.db.migrations import migrate
from tests.factories import eventually, refused
from tests.processes import frozen, pid_of_postgres
from tests.security.servers import own_api

PROBE_SECONDS = 30


async def test_ready_needs_all_migrations_of_this_release(service, new_database, tmp_path):
    url = await new_database()
    connection = await asyncpg.connect(url)
    async with (
        own_api(service, tmp_path, DATABASE_URL=url) as server,
        httpx.AsyncClient(base_url=server.address) as client,
    ):
        last = "(SELECT max(id) FROM aerich)"
        await connection.execute(f"UPDATE aerich SET version = 'x' || version WHERE id = {last}")
        response = await client.get("/health/ready")
        refused(response, 503, "UNAVAILABLE", "The database lacks migrations of this release")
        assert response.headers["retry-after"]
        # An older release goes on while a newer one is deployed.
        await connection.execute(
            f"UPDATE aerich SET version = substr(version, 2) WHERE id = {last}"
        )
        await connection.execute(
            "INSERT INTO aerich (version, app, content) VALUES ('999_later.py', 'models', '{}')"
        )
        assert (await client.get("/health/ready")).status_code == 200
        await connection.execute("DROP TABLE aerich")
        assert (await client.get("/health/ready")).status_code == 503
    await connection.close()


async def test_a_database_that_does_not_answer_is_noticed(service, tmp_path):
    """It takes connections; `live` asks no server, whatever their state."""
    async with running(tmp_path / "servers", {"postgres"}) as servers:
        url = servers.environment["DATABASE_URL"]
        await migrate(url)
        async with (
            own_api(service, tmp_path, DATABASE_URL=url) as server,
            httpx.AsyncClient(base_url=server.address, timeout=PROBE_SECONDS) as client,
        ):
            with frozen(await pid_of_postgres(servers)):
                # Less than the time limit of a statement.
                response = await client.get("/health/ready", timeout=20)
                message = "The database is unavailable; try again soon"
                refused(response, 503, "UNAVAILABLE", message)
                assert (await client.get("/health/live")).status_code == 200

            async def is_ready():
                return (await client.get("/health/ready")).status_code == 200

            await eventually(is_ready)
