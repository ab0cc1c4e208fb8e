"""Connections are dealt out: no server process idles while another has them all."""

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

from api.protocol.accept import bind
from infra.process.system import AUTOGROUP
from tests.processes import connections_of

CONNECTIONS = 200


def _servers(service):
    """Return the processes that accept connections: {pid: how many they have}."""
    port = urlsplit(service.base_url).port
    family = psutil.Process(service.process.pid).children(recursive=True)
    counts = Counter()
    for process, connections in connections_of(family).items():
        for each in connections:
            if each.laddr and each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED:
                counts[process.pid] += 1
    return counts


def _open(service, stack, count):
    parts = urlsplit(service.base_url)
    for _ in range(count):
        stack.enter_context(socket.create_connection((parts.hostname, parts.port)))


async def test_every_process_gets_its_share(service):
    with ExitStack() as stack:
        before = _servers(service)
        _open(service, stack, CONNECTIONS)
        deadline = time.monotonic() + 5
        while (got := _servers(service) - before).total() < CONNECTIONS:
            assert time.monotonic() < deadline, got
            await asyncio.sleep(0.05)
    # A fair coin for each: fewer than 60 of 200 comes once in ten billion runs.
    assert len(got) == 2
    assert min(got.values()) >= 60, got
    if AUTOGROUP.exists():
        # Of the processor, too: Linux shares it among sessions first.
        assert set(map(os.getsid, got)) == set(got)


async def test_a_process_that_died_gets_its_share_again(service):
    with ExitStack() as stack:
        _open(service, stack, 50)
        await asyncio.sleep(0.2)
        victim = next(iter(_servers(service)))
        os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        with ExitStack() as stack:
            _open(service, stack, 50)
            await asyncio.sleep(0.3)
            now = _servers(service)
        if len(now) == 2 and victim not in now:
            break
        assert time.monotonic() < deadline, now
    async with httpx.AsyncClient(base_url=service.base_url) as client:
        for _ in range(20):
            assert (await client.get("/health/live")).status_code == 200


def test_an_address_that_somebody_has_is_not_shared():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", other.getsockname()[1], 2, 10)
