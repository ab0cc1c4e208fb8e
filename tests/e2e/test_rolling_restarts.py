"""Restarts under load fail no request: server processes replaced, and instances behind nginx."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import asyncpg
import httpx

from tests.factories import Api, eventually, free_ports
from tests.proxy import nginx
from tests.security.servers import own_api
from tests.steady_load import steady_load

# `make test-rolling` does 20.
RESTARTS = int(os.environ.get("ROLLING_RESTARTS", "2"))
RATE = 200
# During a restart one process of one instance has all of it, on a machine with other tests.
RATE_OF_INSTANCES = int(os.environ.get("ROLLING_RATE", "50"))
SETTINGS = {"RATE_LIMIT_EXEMPT": "127.0.0.1", "DRAIN_SECONDS": "1"}


async def new_course(address):
    """Create a course, as the admin of an instance."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        return await (await Api.log_in(client)).new_course()


async def assert_none_failed(load, database):
    """Assert that no request failed, and that what was answered is in the database, once."""
    assert not load.failed, f"{len(load.failed)} of {load.sent.total()}: {load.failed[:5]}"
    connection = await asyncpg.connect(database)
    emails = await connection.fetch("SELECT student_email FROM enrollments")
    await connection.close()
    assert sorted(row["student_email"] for row in emails) == sorted(load.enrolled)
    # The load was what it is meant to be: each kind is a quarter.
    assert max(load.sent.values()) - min(load.sent.values()) <= 1


async def test_replaced_processes_fail_no_request(service, tmp_path, new_database):
    settings = SETTINGS | {"DATABASE_URL": await new_database(), "API_WORKERS": "2"}
    async with own_api(service, tmp_path, **settings) as server:
        course = await new_course(server.address)
        first = pids = {each.pid for each in server.process.children()}
        async with steady_load(server.address, course["id"], RATE) as load:
            for _ in range(RESTARTS):
                os.kill(server.process.pid, signal.SIGUSR2)
                pids = await _replaced(server, pids)
            await asyncio.sleep(0.5)
        # The process of the metrics is not replaced.
        assert len(pids & first) == 1
        await assert_none_failed(load, settings["DATABASE_URL"])
    assert load.closing


async def _replaced(server, before):
    """Return the ids of the processes when the server processes are others than before."""

    async def are_others():
        now = {each.pid for each in server.process.children()}
        return now if len(now) == len(before) and len(now & before) == 1 else None

    return await eventually(are_others, within=120)


async def test_restarted_instances_behind_nginx_fail_no_request(service, tmp_path, new_database):
    database = await new_database()
    ports = free_ports(2)
    stacks = {port: AsyncExitStack() for port in ports}

    async def start(port):
        folder = tmp_path / str(port)
        folder.mkdir(exist_ok=True)
        settings = SETTINGS | {"PORT": str(port), "DATABASE_URL": database}
        await stacks[port].enter_async_context(own_api(service, folder, **settings))

    try:
        await asyncio.gather(*map(start, ports))
        upstreams = [f"127.0.0.1:{port}" for port in ports]
        async with nginx(tmp_path / "nginx", upstreams, tls="false") as proxy:
            course = await new_course(proxy.address)
            async with steady_load(proxy.address, course["id"], RATE_OF_INSTANCES) as load:
                for number in range(RESTARTS):
                    port = ports[number % len(ports)]
                    await stacks[port].aclose()
                    await start(port)
                await asyncio.sleep(0.5)
        await assert_none_failed(load, database)
    finally:
        for stack in stacks.values():
            await stack.aclose()
