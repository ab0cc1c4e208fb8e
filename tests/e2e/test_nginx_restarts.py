"""nginx reloads, and instances end behind it, and no client sees more than a closed connection."""

import asyncio
import itertools
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import pytest

from loadtests.steady import sending
from tests.factories import eventually, free_ports
from tests.proxy import nginx
from tests.security.servers import own_api
from tests.steady_load import FAILURES, Connection, Kept

pytestmark = pytest.mark.debian
# `make test-nginx` does 20 reloads and 5 ends of each kind.
RELOADS = int(os.environ.get("NGINX_RELOADS", "3"))
ENDS = int(os.environ.get("NGINX_ENDS", "1"))
RATE = int(os.environ.get("NGINX_RATE", "60"))
PAUSE_SECONDS = 0.5
PATH = "/api/v1/courses"


@dataclass
class Reads:
    """Reads over TLS in turn on a new and on a kept connection, never repeated."""

    address: str
    tls: object
    statuses: Counter = field(default_factory=Counter)
    failed: list = field(default_factory=list)
    failed_kept: list = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)

    def requests(self):
        """Yield the requests, for `sending`."""
        for is_kept in itertools.cycle((False, True)):
            yield self._read(is_kept=is_kept)

    async def _read(self, *, is_kept):
        connection = self.kept.take() if is_kept else None
        try:
            connection = connection or await Connection.open(self.address, self.tls)
            answer = await connection.exchange("GET", PATH)
        except FAILURES as error:
            (self.failed_kept if is_kept else self.failed).append(repr(error))
            if connection:
                connection.close()
            return
        self.statuses[answer.status] += 1
        if is_kept and answer.lasts:
            self.kept.idle.append(connection)
        else:
            connection.close()


@asynccontextmanager
async def reading(proxy):
    """Send reads during the block; all have their outcome after it."""
    reads = Reads(proxy.address, proxy.tls())
    with closing(reads.kept):
        async with sending(reads.requests(), RATE):
            yield reads


async def assert_all_are_200(proxy, reads, expected):
    lines = [line for line in await proxy.lines() if line["route"] == PATH]
    assert Counter(line["status"] for line in lines) == {200: len(lines)}
    assert reads.failed == []
    assert reads.statuses == {200: reads.statuses[200]}
    assert reads.statuses[200] >= expected
    # A request that met the end of its connection got no response, so nginx has not taken it.
    assert len(lines) == reads.statuses[200]
    count = f"{len(lines)} responses, {len(reads.failed_kept)} kept connections ended"
    sys.stdout.write(f"{count}\n")  # `make test-nginx` shows it


async def test_reloads_fail_no_request_of_a_new_connection(service, tmp_path):
    async with nginx(tmp_path, [service.base_url]) as proxy:
        async with reading(proxy) as reads:
            for _ in range(RELOADS):
                await asyncio.sleep(PAUSE_SECONDS)
                await asyncio.to_thread(proxy.signal, "reload")
            await asyncio.sleep(2 * PAUSE_SECONDS)
        await assert_all_are_200(proxy, reads, expected=RATE * PAUSE_SECONDS * RELOADS / 2)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=lambda end: end.name)
async def test_the_end_of_an_instance_fails_no_read(service, tmp_path, end):
    (port,) = free_ports(1)
    settings = {"PORT": str(port), "RATE_LIMIT_EXEMPT": "127.0.0.1", "DRAIN_SECONDS": "1"}
    upstreams = [service.base_url, f"127.0.0.1:{port}"]
    async with nginx(tmp_path / "nginx", upstreams) as proxy:
        async with reading(proxy) as reads:
            for _ in range(ENDS):
                async with own_api(service, tmp_path, **settings) as instance:
                    await asyncio.sleep(PAUSE_SECONDS)
                    await _end(instance.process, end)
                await asyncio.sleep(PAUSE_SECONDS)
        await assert_all_are_200(proxy, reads, expected=RATE * PAUSE_SECONDS * ENDS)


async def _end(process, signum):
    """Send a signal to an instance, SIGKILL to all its processes, and wait for its end."""
    killed = [*process.children(), process] if signum is signal.SIGKILL else [process]
    for each in killed:
        each.send_signal(signum)

    async def is_gone():
        return not process.is_running()

    await eventually(is_gone)
    await asyncio.sleep(0)  # its exit code is known then
