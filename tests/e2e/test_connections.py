"""Connections are spread over all server processes."""

import asyncio
import os
import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from infra.process.sockets import bind
from infra.process.system import AUTOGROUP
from tests.processes import connections_of

CONNECTIONS = 200


def _connections_by_pid(service):
    """Return the number of connections of each server process by its pid."""
    port = urlsplit(service.base_url).port
    family = psutil.Process(service.process.pid).children(recursive=True)
    counts = Counter()
    for process, connections in connections_of(family).items():
        for each in connections:
            if each.laddr and each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED:
                counts[process.pid] += 1
    return counts


def _connect(service, stack, count):
    parts = urlsplit(service.base_url)
    for _ in range(count):
        stack.enter_context(socket.create_connection((parts.hostname, parts.port)))


async def test_every_process_gets_a_share_of_the_connections(service):
    with ExitStack() as stack:
        before = _connections_by_pid(service)
        _connect(service, stack, CONNECTIONS)
        deadline = time.monotonic() + 5
        while (got := _connections_by_pid(service) - before).total() < CONNECTIONS:
            assert time.monotonic() < deadline, got
            await asyncio.sleep(0.05)
    # The kernel picks at random: fewer than 60 of 200 happens once in ten billion runs.
    assert len(got) == 2
    assert min(got.values()) >= 60, got
    if AUTOGROUP.exists():
        # Each process has a session of its own, because Linux shares the processor among sessions.
        assert set(map(os.getsid, got)) == set(got)


async def test_a_restarted_process_gets_its_share_again(service):
    with ExitStack() as stack:
        _connect(service, stack, 50)
        await asyncio.sleep(0.2)
        victim = next(iter(_connections_by_pid(service)))
        os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        with ExitStack() as stack:
            _connect(service, stack, 50)
            await asyncio.sleep(0.3)
            now = _connections_by_pid(service)
        if len(now) == 2 and victim not in now:
            break
        assert time.monotonic() < deadline, now
    async with httpx.AsyncClient(base_url=service.base_url) as client:
        for _ in range(20):
            assert (await client.get("/health/live")).status_code == 200


def test_an_address_in_use_is_not_shared():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", other.getsockname()[1], 2, 10)
