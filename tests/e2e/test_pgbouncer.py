"""The whole service through PgBouncer in transaction mode, with fewer sessions than clients."""

import asyncio
import os
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.embedded.servers import running
from infra.db.engine import (
    PoolerAnswersError,
    database,
    direct_connection,
    is_connected,
    open_pool,
)
from tests import forkserver, photos
from tests.debian import pgbouncer
from tests.factories import (
    ADMIN,
    COURSE,
    Api,
    bearer,
    dies_everywhere,
    eventually,
    free_ports,
    new_email,
)
from tests.instances import instance
from tests.plugins import brokers
from tests.processes import frozen, pid_of_postgres

pytestmark = pytest.mark.debian
CLIENTS = 12
ROUNDS = 4


@pytest.fixture(scope="module")
async def environment(service, new_database, tmp_path_factory):
    """An API of two processes and a worker on a database behind PgBouncer: URL, database."""
    folder = tmp_path_factory.mktemp("pgbouncer")
    folder.chmod(0o755)
    direct = await new_database()
    async with (
        pgbouncer(folder / "pgbouncer", direct) as pooled,
        brokers.running(brokers.Redis, folder / "broker") as broker,
        database(direct, pool_size=1),
    ):
        environment = service.env | {
            "DATABASE_URL": pooled,
            "DATABASE_DIRECT_URL": direct,
            "BROKER_URL": broker.url,
            "CACHE_URL": "memory://",
            "API_WORKERS": "2",
            "RATE_LIMIT_EXEMPT": "127.0.0.1",
        }
        async with (
            instance(folder, environment, SKIP_MIGRATION="false") as base,
            brokers.worker(folder / "worker", environment),
        ):
            yield base, direct


async def test_many_concurrent_clients_are_served(environment):
    base, direct = environment
    seen: list[httpx.Response] = []

    async def note(response: httpx.Response) -> None:
        await response.aread()
        seen.append(response)

    limits = httpx.Limits(max_keepalive_connections=0)
    hooks = {"response": [note]}
    async with httpx.AsyncClient(
        base_url=base, timeout=30, limits=limits, event_hooks=hooks
    ) as client:
        api = await Api.log_in(client)
        await asyncio.gather(*(_use(api, client, number) for number in range(CLIENTS)))
        failed = [each for each in seen if each.status_code >= 500]
        assert not failed, [(each.request.url, each.text) for each in failed[:5]]
        assert {each.status_code for each in seen} == {200, 201, 204, 409}
        done = (await api.call("GET", "/admin/tasks?status=failed")).json()
        assert not done["tasks"], done
        health = (await client.get("/health")).json()
        assert (health["status"], health["tasks"]) == ("healthy", "connected")
    async with direct_connection(direct) as watch:
        sessions = await watch.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = '' AND state LIKE 'idle in transaction%'"
        )
        assert sessions == 0


async def _use(api: Api, client: httpx.AsyncClient, number: int) -> None:
    """Make the calls of admins and students: log in, upload, enrol, read, refresh."""
    for _ in range(ROUNDS):
        login = (await client.post("/api/v1/auth/login", json=ADMIN)).json()
        course = await api.new_course(title=f"Course {number}")
        path = f"/courses/{course['id']}"
        await api.call("PUT", path, json=COURSE | {"title": f"Changed {number}"})
        student = {"student_email": new_email(), "course_id": course["id"]}
        for expected in (201, 409):
            enrolled = await client.post("/api/v1/enrollments", json=student)
            assert enrolled.status_code == expected
        keyed = {"student_email": new_email(), "course_id": course["id"]}
        for _ in range(2):
            headers = {"Idempotency-Key": keyed["student_email"]}
            await client.post("/api/v1/enrollments", json=keyed, headers=headers)
        await client.get(f"/api/v1/students/{student['student_email']}/enrollments")
        await client.get("/api/v1/courses", params={"search": f"changed {number}"})
        await api.call("GET", f"{path}/students")
        await api.call("GET", "/admin/enrollments")
        token = {"refresh_token": login["refresh_token"]}
        await client.post("/api/v1/auth/refresh", json=token)
    pictured = await api.pictured(photos.jpeg(64, 48))
    await api.call("DELETE", f"/courses/{pictured['id']}")


async def test_a_logout_takes_effect_at_once(environment):
    base, _ = environment
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        token = (await client.post("/api/v1/auth/login", json=ADMIN)).json()["token"]
        ended = await client.post("/api/v1/auth/logout", headers=bearer(token))
        assert ended.status_code == 204
        await dies_everywhere(base, token)


async def test_a_pooler_without_the_direct_url_is_refused_at_the_start(environment, tmp_path):
    """Half of the calls would fail, because sessions are shared."""
    _, direct = environment
    tmp_path.chmod(0o755)
    own = {"PORT": str(free_ports(1)[0]), "POOLER_DIRECTORY": ""}
    async with pgbouncer(tmp_path / "own", direct) as pooled:
        for name in ("api", "migrate"):
            own |= {"DATABASE_URL": pooled, "STORAGE_URL": "memory://"}
            done = await forkserver.enroll(name, env=os.environ | own)
            assert done.code == 2
            assert done.errors == f"enroll: {PoolerAnswersError()}\n"


async def test_transactions_get_the_limits_that_a_pooled_session_cannot_have(environment, tmp_path):
    _, direct = environment
    tmp_path.chmod(0o755)
    limits = (
        "SELECT current_setting('statement_timeout') AS statement, "
        "current_setting('idle_in_transaction_session_timeout') AS idle"
    )
    async with pgbouncer(tmp_path / "own", direct) as pooled:
        url = f"{pooled}&pgbouncer=true"
        with pytest.raises(ValueError, match="DATABASE_DIRECT_URL"):
            async with direct_connection(url):
                pass
        async with open_pool(url, pool_size=1) as source:
            assert await source.execute_query_dict(limits) == [{"statement": "0", "idle": "0"}]
            async with source._in_transaction() as one:  # noqa: SLF001  of another client
                assert await one.execute_query_dict(limits) == [{"statement": "35s", "idle": "30s"}]


async def test_the_client_of_a_cancellation_stays_until_the_frozen_server_has_it(tmp_path):
    """If it leaves, PgBouncer 1.18 ends, or closes the connection of another client."""
    tmp_path.chmod(0o755)
    async with (
        running(tmp_path / "servers", {"postgres"}) as servers,
        pgbouncer(tmp_path / "own", servers.environment["DATABASE_URL"]) as pooled,
        open_pool(urlsplit(pooled)._replace(query="pgbouncer=true").geturl(), 1) as pool,
    ):
        await pool.execute_query("SELECT 1")
        with frozen(await pid_of_postgres(servers)):
            # The connection is closed when it can't be made ready for its next user.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await pool.execute_query("SELECT 1")
            await asyncio.sleep(0.5)
        await eventually(lambda: is_connected(pool))
    log = (tmp_path / "own" / "logs" / "pgbouncer.log").read_text("utf-8")
    assert "started sending cancel request" in log
    assert "client unexpected eof" not in log
