"""The relay's loop: woken by a notification, else by the clock; a silent database is left."""

import asyncio
import statistics
import time
from contextlib import suppress
from urllib.parse import urlsplit

import asyncpg
import pytest
from celery import Celery
from uuid_utils.compat import uuid7

from deploy.embedded import probe
from infra.db import dsn
from tasks.registry import Registration
from worker import relay_thread
from worker.relay_thread import relay_forever

NAME = "test.task"
NOTIFIED_SECONDS, POLLED_SECONDS = 0.3, 1.5


class Proxy:
    """A way to a server that can be shut: then what was connected hears nothing, for ever."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._is_open = True
        self._ways: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _meet(self, reader, writer) -> None:
        self._writers.append(writer)
        if not self._is_open:
            return
        other_reader, other_writer = await asyncio.open_connection(*self._target)
        self._writers.append(other_writer)
        for ends in ((reader, other_writer), (other_reader, writer)):
            self._ways.append(asyncio.create_task(self._carry(*ends)))

    async def _carry(self, reader, writer) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    def shut(self) -> None:
        self._is_open = False
        for way in self._ways:
            way.cancel()

    def reopen(self) -> None:
        self._is_open = True

    async def stop(self) -> None:
        self.shut()
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.1)


@pytest.fixture
async def proxy(database_url):
    """A proxy to the database, and the URL by which it is reached."""
    address = urlsplit(database_url)
    proxy = Proxy(address.hostname, address.port)
    port = await proxy.start()
    yield proxy, database_url.replace(f":{address.port}/", f":{port}/")
    await proxy.stop()


@pytest.fixture
async def database_url(new_database):
    return await new_database()


@pytest.fixture
async def rows(database_url):
    """A connection of one's own to that database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def start(service, monkeypatch):
    """Start relays on a database, with a kind and a queue of their own."""

    async def nothing(_context) -> None:
        """Do nothing."""

    queue = f"test-{uuid7().hex}"
    kinds = {NAME: Registration(NAME, nothing, queue, 4, 10, (), None)}
    monkeypatch.setattr(relay_thread, "load_tasks", lambda: kinds)
    celery = Celery(broker=service.env["BROKER_URL"], config_source={"task_ignore_result": True})
    stopping, running = asyncio.Event(), []

    def start(url: str) -> None:
        running.append(asyncio.create_task(relay_forever(url, celery, stopping)))

    yield start
    stopping.set()
    await asyncio.gather(*running)
    with celery.connection_for_write() as broker:
        broker.default_channel.queue_delete(queue)
    celery.close()


async def _published_after(rows, *, notify: bool = False) -> float:
    """Insert a task; return after how many seconds it is published."""
    task_id = uuid7()
    await rows.execute("INSERT INTO tasks (id, name, args) VALUES ($1, $2, '{}')", task_id, NAME)
    if notify:
        await rows.execute("SELECT pg_notify('tasks', '')")
    since = time.monotonic()

    async def is_published() -> bool:
        return await rows.fetchval("SELECT published_at FROM tasks WHERE id = $1", task_id)

    await asyncio.wait_for(probe.wait_until(is_published, 0.005), 20)
    return time.monotonic() - since


async def test_a_notification_wakes_the_relay(start, database_url, rows, monkeypatch):
    monkeypatch.setattr(relay_thread, "POLL_SECONDS", 30)
    start(database_url)
    await _published_after(rows, notify=True)
    took = [await _published_after(rows, notify=True) for _ in range(5)]
    assert statistics.median(took) < NOTIFIED_SECONDS, took


async def test_a_lost_notification_costs_a_second_at_most(start, database_url, rows):
    start(database_url)
    await _published_after(rows)
    took = [await _published_after(rows) for _ in range(3)]
    assert statistics.median(took) < POLLED_SECONDS, took


async def test_a_database_that_went_silent_is_left(proxy, start, rows, monkeypatch):
    monkeypatch.setattr(relay_thread, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(dsn, "CONNECT_TIMEOUT_SECONDS", 0.5)
    way, url = proxy
    start(url)
    await _published_after(rows)
    way.shut()
    await asyncio.sleep(2)
    way.reopen()
    assert await _published_after(rows) < 10
