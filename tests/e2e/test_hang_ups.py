"""Clients that disconnect leave no connection of the pool behind.

HANG_UPS=800 sends that many; `make test` sends fewer.
"""

import asyncio
import os
from random import Random

import httpx

from infra.db.engine import direct_connection
from tests.factories import ADMIN, eventually, new_email
from tests.hanging_up import hang_up
from tests.instances import instance

HANG_UPS = int(os.environ.get("HANG_UPS", "300"))
AT_ONCE = 40
POOL = 3
OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


async def test_disconnected_clients_leave_the_pool_complete(service, new_database, tmp_path):
    url, random = await new_database(), Random(5)
    own = {"DATABASE_URL": url, "CACHE_URL": "memory://", "RATE_LIMIT_EXEMPT": "127.0.0.1"}
    one = {"API_WORKERS": "1", "DATABASE_POOL_SIZE": str(POOL), "SKIP_MIGRATION": "false"}
    async with (
        instance(tmp_path, service.env | own, **one) as base,
        direct_connection(url) as watch,
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        for _ in range(HANG_UPS // AT_ONCE):
            requests = [
                client.build_request(
                    "POST", "/api/v1/auth/refresh", json={"refresh_token": new_email()}
                )
                for _ in range(AT_ONCE)
            ]
            await asyncio.gather(*(hang_up(each, random.uniform(0.001, 0.02)) for each in requests))

        async def none_is_open() -> bool:
            return await watch.fetchval(OPEN) == 0

        await eventually(none_is_open, within=5)
        logins = [client.post("/api/v1/auth/login", json=ADMIN) for _ in range(POOL * 3)]
        assert {each.status_code for each in await asyncio.gather(*logins)} == {200}
        assert (await client.get("/health/ready")).status_code == 200
