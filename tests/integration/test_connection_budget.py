"""The connections of all instances are compared with what the server gives, at the start."""

import asyncio
import json
import os

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from cli.connection_budget import SPARE, Budget, check_budget
from deploy.embedded.cluster import MAX_CONNECTIONS
from infra.db.engine import database
from infra.db.sql import rows
from infra.observability.events import Event
from infra.settings import Settings, SettingsError
from tests import forkserver
from tests.factories import Api, eventually, free_ports, scrape
from tests.instances import instance
from tests.plugins import brokers

POOL, PROCESSES = 3, 2


def _settings(url: str, **values) -> Settings:
    return Settings(_env_file=None, database_url=url, **values)


@pytest.fixture
async def limited_role(new_database):
    """The URL of a database for a role that gets five connections; a superuser has no limits."""
    url = await new_database()
    role = f"role_{uuid7().hex}"
    owner = await asyncpg.connect(url)
    await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 5")
    yield f"postgresql://{role}:x@{url.rpartition('@')[2]}"
    await owner.execute(f"DROP ROLE {role}")
    await owner.close()


async def test_an_instance_and_a_worker_open_no_more_than_is_counted(
    service, new_database, tmp_path
):
    url = await new_database()
    settings = _settings(
        url, database_pool_size=POOL, api_workers=PROCESSES, worker_concurrency=PROCESSES
    )
    budget = Budget.of(settings)
    watch = await asyncpg.connect(url)
    # Less those of this test.
    count = "SELECT count(*) - 2 FROM pg_stat_activity WHERE datname = current_database()"
    own = {
        "DATABASE_URL": url,
        "DATABASE_POOL_SIZE": str(POOL),
        "API_WORKERS": str(PROCESSES),
        "WORKER_CONCURRENCY": str(PROCESSES),
        "CACHE_URL": "memory://",
        "API_INSTANCES": "30",
        "LOG_FORMAT": "json",
    }
    async with (
        database(url, pool_size=1),
        brokers.running(brokers.Redis, tmp_path / "broker") as broker,
        instance(tmp_path, service.env | own | {"BROKER_URL": broker.url}) as base,
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        await rows("SELECT 1")  # opens the pool of this process
        await Api.log_in(client)

        async def are_all_open() -> bool:
            fresh = {"Connection": "close"}
            asked = [client.get("/health", headers=fresh) for _ in range(12)]
            await asyncio.gather(*asked, scrape(client))
            return await watch.fetchval(count) >= budget.api

        await eventually(are_all_open)
        assert await watch.fetchval(count) == budget.api
        async with brokers.worker(
            tmp_path / "worker", service.env | own | {"BROKER_URL": broker.url}
        ):
            used = await watch.fetchval(count)
            assert budget.api < used <= budget.api + budget.worker
    await watch.close()
    (log,) = tmp_path.glob("api-*.log")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (warned,) = [line for line in lines if line["event"] == Event.CONNECTIONS_EXCEED_LIMIT]
    assert warned["level"] == "warning"
    assert (warned["needed"], warned["limit"]) == (
        30 * budget.api + budget.worker + SPARE,
        MAX_CONNECTIONS,
    )


def test_a_process_that_runs_ten_tasks_has_a_connection_for_each(monkeypatch):
    before = Budget.of(_settings("postgresql://a@one/x", worker_concurrency=3)).worker
    monkeypatch.setattr("cli.connection_budget.most_at_once", lambda: 10)
    after = Budget.of(_settings("postgresql://a@one/x", worker_concurrency=3)).worker
    assert (before, after) == (3 * (2 + 1) + 1, 3 * (11 + 1) + 1)


def test_behind_a_pooler_only_direct_connections_count():
    direct = _settings("postgresql://a@one/x", api_workers=4)
    pooled = _settings(
        "postgresql://a@pooler/x", api_workers=4, database_direct_url="postgresql://a@one/x"
    )
    assert (Budget.of(direct).api, Budget.of(pooled).api) == (4 * 13 + 1, 4 * 2)


async def test_an_instance_that_can_never_get_its_connections_does_not_start(limited_role):
    with pytest.raises(SettingsError) as caught:
        await check_budget(_settings(limited_role, database_pool_size=20, api_workers=2))
    assert str(caught.value) == (
        "DATABASE_POOL_SIZE (20) and API_WORKERS (2) make 47 connections of one API instance, and "
        "the database gives at most 5: lower them, or raise max_connections"
    )


async def test_the_command_says_so_in_one_sentence(limited_role, tmp_path):
    own = {"DATABASE_URL": limited_role, "STORAGE_URL": "memory://"}
    own |= {"PORT": str(free_ports(1)[0])}
    done = await forkserver.enroll("api", env=os.environ | own, cwd=tmp_path)
    assert done.code == 2
    assert done.errors.startswith("enroll: DATABASE_POOL_SIZE (10) and API_WORKERS (2) make")
    assert len(done.errors.splitlines()) == 1
