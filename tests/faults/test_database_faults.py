"""A database that loses all its connections at once."""

import asyncio
import signal
import time

import psutil

from tests.faults.harness import AWAY_SECONDS, TASKS
from tests.faults.verdict import settle


async def test_database_restarts_at_once(own_site):
    """Tasks are accepted meanwhile: committed tasks exist after the crash."""
    accepting = asyncio.create_task(own_site.enqueue_one_by_one(TASKS))
    own_site.start_worker()
    await own_site.some_done()
    # An immediate shutdown: no checkpoint, all connections end; the supervisor starts it again.
    own_site.server_process("postgres").send_signal(signal.SIGQUIT)
    since = time.monotonic()
    await accepting
    outcome = await settle(own_site, "PostgreSQL immediate restart", since)
    assert outcome.done == outcome.accepted
    # An unavailable database is not logged as an unexpected error.
    said = own_site.log_of(0).read_text()
    assert "task_lost_database" in said
    assert "raised unexpected" not in said
    assert not [
        line for line in said.splitlines() if "asyncpg.pool" in line and "Traceback" in line
    ]


async def test_database_down_and_children_die(own_site):
    """The children that replace the dead ones find the database down."""
    await own_site.enqueue(TASKS, seconds=0.05)
    worker = own_site.start_worker()
    await own_site.some_done()
    await own_site.servers.stop("postgres")
    for child in psutil.Process(worker.pid).children():
        child.kill()
    await asyncio.sleep(AWAY_SECONDS)
    await own_site.servers.start("postgres")
    since = time.monotonic()
    outcome = await settle(own_site, f"PostgreSQL down for {AWAY_SECONDS} s, children die", since)
    assert outcome.done == TASKS


async def test_database_frozen(own_site):
    await own_site.enqueue(TASKS, seconds=0.05)
    own_site.start_worker()
    await own_site.some_done()
    postmaster = own_site.server_process("postgres")
    frozen = [postmaster, *postmaster.children()]
    for process in frozen:
        process.suspend()
    await asyncio.sleep(AWAY_SECONDS)
    for process in frozen:
        process.resume()
    outcome = await settle(own_site, f"PostgreSQL frozen for {AWAY_SECONDS} s", time.monotonic())
    assert outcome.done == TASKS
