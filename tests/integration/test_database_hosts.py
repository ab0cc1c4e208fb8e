"""Connections to the first of several servers that fits: pools and direct connections alike."""

import asyncio
import os
import signal
import socket
import time
from contextlib import asynccontextmanager

import asyncpg
import pytest

from infra.db import hosts
from infra.db.engine import database, direct_connection, primary
from infra.db.hosts import NoHostFitsError
from infra.db.session import SessionStateRefused
from tests.factories import eventually, free_ports


def _behind(url: str, *others: str) -> str:
    """Return the URL with other hosts before its own."""
    account, _, rest = url.rpartition("@")
    return f"{account}@{','.join(others)},{rest}"


@asynccontextmanager
async def silent_server():
    """A host that takes connections and never says anything, as a frozen server does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def closing_server():
    """A host that closes each connection, as a proxy without a server does."""

    async def close(_: object, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_host_that_is_silent_refuses_or_closes_is_passed_over(new_database):
    url = await new_database()
    (nothing,) = free_ports(1)
    async with silent_server() as silent, closing_server() as closing:
        url = _behind(url, silent, f"127.0.0.1:{nothing}", closing)
        started = time.monotonic()
        async with direct_connection(url) as connection:
            assert await connection.fetchval("SELECT NOT pg_is_in_recovery()")
        async with database(url, pool_size=3, prewarm=True):
            assert await primary().execute_query_dict("SELECT 1 AS one") == [{"one": 1}]
        assert time.monotonic() - started < hosts.dsn.CONNECT_TIMEOUT_SECONDS


async def test_no_host_fits_and_the_message_says_why_of_each(new_database):
    url = await new_database()
    (nothing,) = free_ports(1)
    one = f"127.0.0.1:{nothing}"
    wrong = f"{_behind(url, one)}&target_session_attrs=standby"
    with pytest.raises(NoHostFitsError) as caught:
        await hosts.connect(wrong)
    message = str(caught.value)
    assert message.startswith(f"no database server fits: {one}: ")
    assert message.endswith("not of its target_session_attrs")
    assert url.partition("@")[0].rpartition(":")[2] not in message


async def test_a_wrong_password_is_not_tried_elsewhere(new_database):
    url = await new_database()
    account, _, rest = url.rpartition("@")
    wrong = f"{account}x@{rest.partition('/')[0]},{rest}"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await hosts.connect(wrong)


async def test_a_connection_that_is_not_chosen_is_closed(new_database, monkeypatch):
    url = await new_database()
    monkeypatch.setattr(hosts, "NEXT_HOST_SECONDS", 0.0)
    twice = _behind(url, url.rpartition("@")[2].partition("/")[0])
    for _ in range(5):
        async with direct_connection(twice) as connection:
            await connection.execute("SELECT 1")
    async with direct_connection(url) as watch:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"

        async def is_alone() -> bool:
            return await watch.fetchval(query) == 1

        await eventually(is_alone, within=5)


async def test_each_connection_notices_that_the_machine_of_its_server_is_gone(new_database):
    url = await new_database()
    async with (
        database(url, pool_size=1),
        primary().acquire_connection() as pooled,
        direct_connection(url) as direct,
    ):
        for each in (pooled._con, direct):  # noqa: SLF001  asyncpg has no public name
            transport = each._transport.get_extra_info("socket")  # noqa: SLF001
            assert transport.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            bound = transport.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert bound == hosts.SILENCE_SECONDS * 1000


async def test_a_server_that_takes_no_data_for_a_while_is_not_gone(new_database, monkeypatch):
    """As in a checkpoint, while rows are copied."""
    monkeypatch.setattr(hosts, "SILENCE_SECONDS", 1)
    async with direct_connection(await new_database()) as connection:
        await connection.execute("CREATE TEMP TABLE copied (content text)")
        pid = await connection.fetchval("SELECT pg_backend_pid()")

        def rows():
            for number in range(50_000):
                if number == 1000:
                    os.kill(pid, signal.SIGSTOP)
                    asyncio.get_running_loop().call_later(4, os.kill, pid, signal.SIGCONT)
                # Together more than the buffers of both sockets hold.
                yield ("x" * 1000,)

        await connection.copy_records_to_table("copied", records=rows())
        assert await connection.fetchval("SELECT count(*) FROM copied") == 50_000


async def test_a_pooled_connection_refuses_state_of_its_session(new_database):
    async with (
        database(await new_database(), pool_size=1),
        primary().acquire_connection() as pooled,
    ):
        with pytest.raises(SessionStateRefused, match="direct_connection"):
            await pooled.add_listener("catalogue", print)
        with pytest.raises(SessionStateRefused):
            await pooled.prepare("SELECT 1")
        with pytest.raises(SessionStateRefused):
            await pooled.copy_records_to_table("courses", records=[])


def test_a_forked_process_does_not_wait_for_a_thread_of_its_parent():
    with hosts._lock:  # noqa: SLF001  a thread of the parent connects right now
        child = os.fork()
        if not child:
            os._exit(hosts._lock.locked())  # noqa: SLF001  see above
    assert os.waitpid(child, 0)[1] == 0
