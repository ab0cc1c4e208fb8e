"""Event streams: limits per client and process, and a maximum duration."""

import asyncio
import json
import time
from contextlib import AsyncExitStack, ExitStack
from types import SimpleNamespace

import asyncpg
import httpx
import psutil
import pytest
from uuid_utils.compat import uuid7

from api.routes.tasks import watch_task
from api.security import sse_limits
from api.security.rate_limits import Limits
from api.security.sse_limits import Streams
from infra.db.engine import database
from infra.queue.enqueue import enqueue
from infra.rate_limits.buckets import MemoryBuckets
from infra.rate_limits.logins import MemoryLogins
from infra.settings import Settings
from services.errors import RateLimited
from tests.factories import bearer, eventually, refused, token
from tests.security.servers import own_api

SETTINGS = {"TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT_EXEMPT": "127.0.0.1"}


@pytest.fixture
async def path(service):
    """The stream of a task that no worker runs."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    task_id = uuid7()
    await connection.execute(
        "INSERT INTO tasks (id, name, args) VALUES ($1, 'test.unknown', '{}')", task_id
    )
    yield f"/api/v1/tasks/{task_id}/events"
    await connection.execute("DELETE FROM tasks WHERE id = $1", task_id)
    await connection.close()


async def test_the_streams_of_a_client_are_limited(service, tmp_path, path):
    limits = httpx.Limits(max_connections=None)
    async with (
        own_api(service, tmp_path, **SETTINGS) as server,
        httpx.AsyncClient(base_url=server.address, limits=limits) as client,
        AsyncExitStack() as opened,
    ):

        def watch(address, headers=None):
            given = {"X-Forwarded-For": address} | (headers or {})
            return client.stream("GET", path, headers=given)

        async def status(*args):
            async with watch(*args) as response:
                return response.status_code

        user = bearer(token())
        for number in range(sse_limits.MAX_OF_CLIENT):
            for args in (("192.0.2.1",), (f"198.51.100.{number}", user)):
                response = await opened.enter_async_context(watch(*args))
                assert response.status_code == 200
        for args in (("192.0.2.1",), ("198.51.100.99", user)):
            async with watch(*args) as response:
                await response.aread()
                message = "Too many requests; slow down"
                refused(response, 429, "RATE_LIMITED", message)
                assert response.headers["retry-after"] == str(sse_limits.RETRY_AFTER_SECONDS)
        # Other clients and exempt ones are not limited.
        assert await status("192.0.2.2") == 200
        assert await status("192.0.2.1", bearer(token())) == 200
        assert await status("127.0.0.1") == 200
        await opened.aclose()

        async def is_free():
            return await status("192.0.2.1") == 200

        # A closed stream is no longer counted.
        await eventually(is_free, within=5)


async def test_the_streams_of_a_client_are_counted_over_all_processes(service, tmp_path, path):
    """If a process is killed, its streams are free, and those of other processes are not."""
    limits = httpx.Limits(max_connections=None)
    two = SETTINGS | {"API_WORKERS": "2"}
    async with (
        own_api(service, tmp_path, **two) as server,
        httpx.AsyncClient(base_url=server.address, limits=limits, timeout=60) as client,
        AsyncExitStack() as opened,
    ):
        address = {"X-Forwarded-For": "192.0.2.1"}

        async def open_all():
            found = 0
            for _ in range(sse_limits.MAX_OF_CLIENT * 3):
                watched = client.stream("GET", path, headers=address)
                response = await opened.enter_async_context(watched)
                found += response.status_code == 200
            return found

        assert await open_all() == sse_limits.MAX_OF_CLIENT
        by_process = {
            each.pid: sum(one.status == "ESTABLISHED" for one in each.net_connections())
            for each in server.process.children()
        }
        killed = max(by_process, key=by_process.get)
        psutil.Process(killed).kill()

        # A connection may wait for the restarted process.
        async def is_free():
            async with client.stream("GET", path, headers=address) as response:
                return response.status_code == 200

        await eventually(is_free)
        assert await open_all() < sse_limits.MAX_OF_CLIENT


async def test_a_stopping_server_ends_its_streams_first(service, tmp_path, path):
    limits = httpx.Limits(max_connections=None)
    ends = []

    async def watch(client, number):
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        async with client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200
            text = "".join([part async for part in response.aiter_text()])
        ends.append(text.strip().rpartition("\n\n")[2])

    async with own_api(service, tmp_path, **SETTINGS) as server:
        async with httpx.AsyncClient(base_url=server.address, limits=limits, timeout=30) as client:
            watching = [asyncio.create_task(watch(client, number)) for number in range(40)]
            await asyncio.sleep(2)
            began = time.monotonic()
            server.process.terminate()
            await asyncio.gather(*watching)
            assert time.monotonic() - began < 4
        await asyncio.to_thread(server.process.wait, 10)
        assert time.monotonic() - began < 6
    for end in ends:
        retry, event, data = end.splitlines()
        seconds = int(retry.removeprefix("retry: "))
        assert event == "event: restart"
        assert json.loads(data.removeprefix("data: ")) == {"retry_milliseconds": seconds}
        assert 1000 <= seconds < 3000
    assert len(ends) == 40


def test_the_streams_of_a_process_are_limited():
    counted = Streams(of_client=2, of_process=3)
    with ExitStack() as opened:
        for client in ("one", "two", "one"):
            opened.enter_context(counted.one(client))
        for client, is_exempt in (("one", False), ("three", False), ("four", True)):
            with pytest.raises(RateLimited), counted.one(client, is_exempt=is_exempt):
                pytest.fail("it was let in")
    with ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(counted.one("exempt", is_exempt=True))


async def test_a_stream_ends_and_is_resumed(new_database, monkeypatch):
    sent, ends = [], []

    class Response:
        async def send(self, text):
            sent.append(text)

        async def eof(self):
            ends.append(len(sent))

    async def respond(**_kwargs):
        return Response()

    settings = Settings(_env_file=None)
    limits = Limits(settings, MemoryBuckets({}), MemoryLogins())
    request = SimpleNamespace(
        app=SimpleNamespace(ctx=SimpleNamespace(limits=limits)),
        ctx=SimpleNamespace(),
        headers={},
        method="GET",
        ip="192.0.2.1",
        respond=respond,
    )
    monkeypatch.setattr(sse_limits, "MAX_SECONDS", 0.5)
    async with database(await new_database(), pool_size=1):
        task_id = await enqueue("test.unknown", {})
        await watch_task(request, task_id)
        assert ends == [2]
        last = sent[1].partition("\n")[0].removeprefix("id: ")
        request.headers = {"last-event-id": last}
        await watch_task(request, task_id)
    # Without new events, no event is repeated.
    assert ends == [2, 3]
