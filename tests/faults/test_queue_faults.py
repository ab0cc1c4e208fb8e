"""Queues that are paused or limited keep their promise whatever dies."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from infra.queue.sweep import EXPIRED
from tests.faults.harness import GONE, TASKS, Site
from tests.faults.verdict import settle

LIMIT = 2
DEATHS = 5 if TASKS < 500 else 25
RESTARTS = 2 if TASKS < 500 else 10
PAUSE = "INSERT INTO task_queues (name, paused_at) VALUES ('default', now())"
RESUME = "UPDATE task_queues SET paused_at = NULL"
LIMITED = f"INSERT INTO task_queues (name, concurrency) VALUES ('limited', {LIMIT})"
DONE = "count(*) FILTER (WHERE queue = 'default' AND state = 'succeeded')"
RUNNING = "SELECT count(*) FROM tasks WHERE state = 'running' AND queue = 'limited'"


@asynccontextmanager
async def _watched(site: Site, running: str, limit: int) -> AsyncIterator[None]:
    """Look all the time at how many tasks run: as many as may, and never more."""
    seen = {0}

    async def look() -> None:
        while True:
            with suppress(*GONE):
                seen.add(await site.database.fetchval(running))
            await asyncio.sleep(0.005)

    looking = asyncio.create_task(look())
    yield
    looking.cancel()
    assert max(seen) == limit


@asynccontextmanager
async def _limited(site: Site) -> AsyncIterator[None]:
    """Limit the queue, and watch it."""
    await site.database.execute(LIMITED)
    async with _watched(site, RUNNING, LIMIT):
        yield


@pytest.mark.parametrize("victim", ["child", "main"])
async def test_workers_killed_while_they_hold_slots(site, victim):
    ids = await site.enqueue(TASKS, "fault.limited")
    deaths = RESTARTS if victim == "main" else DEATHS
    site.doom(victim, "in work", ids[:: TASKS // deaths][:deaths])
    async with _limited(site), site.kept_worker():
        site.start_worker()
        fault = f"worker {victim} killed while it holds a slot of {LIMIT}"
        outcome = await settle(site, fault, time.monotonic())
    assert outcome.done == TASKS
    assert not site.doomed()


async def test_a_worker_frozen_while_it_holds_all_slots(site):
    """Its slots are free when its leases end, and its late commit is refused."""
    await site.enqueue(LIMIT, "fault.limited", seconds=1.5, slow_attempts=2)
    async with _limited(site):
        frozen = site.start_worker()
        await site.until(f"count(*) FILTER (WHERE state = 'running') = {LIMIT}")
        os.killpg(frozen.pid, signal.SIGSTOP)
        await site.enqueue(TASKS - LIMIT, "fault.limited")
        since = time.monotonic()
        site.start_worker()
        await site.until("count(*) FILTER (WHERE state = 'succeeded') > 0")
        os.killpg(frozen.pid, signal.SIGCONT)
        outcome = await settle(site, f"worker frozen while it holds {LIMIT} slots", since)
    assert outcome.done == TASKS


async def test_database_restarts_while_a_queue_is_limited(own_site):
    await own_site.enqueue(TASKS, "fault.limited")
    async with _limited(own_site):
        for _ in range(2):
            own_site.start_worker()
        await own_site.some_done()
        own_site.server_process("postgres").send_signal(signal.SIGQUIT)
        fault = f"PostgreSQL immediate restart, queue limited to {LIMIT}"
        outcome = await settle(own_site, fault, time.monotonic())
    assert outcome.done == TASKS


async def test_a_pause_outlasts_the_database_and_the_workers(own_site):
    await own_site.enqueue(TASKS, seconds=0.05)
    worker = own_site.start_worker()
    await own_site.some_done()
    await own_site.database.execute(PAUSE)
    await own_site.until("count(*) FILTER (WHERE state = 'running' AND queue = 'default') = 0")
    done = await own_site.database.fetchval(f"SELECT {DONE} FROM tasks")
    own_site.server_process("postgres").send_signal(signal.SIGQUIT)
    os.killpg(worker.pid, signal.SIGKILL)
    own_site.broker.flushall()
    own_site.start_worker()
    # Long enough for lost messages and lapsed leases to be noticed.
    await asyncio.sleep(6)
    await own_site.until(f"{DONE} = {done}")
    assert done < TASKS
    since = time.monotonic()
    await own_site.database.execute(RESUME)
    outcome = await settle(own_site, "PostgreSQL and worker killed in a pause", since)
    assert outcome.done == TASKS


async def test_children_killed_while_tasks_snooze(site):
    """A task may fail once and snoozes four times: no snooze counts as a failure."""
    ids = await site.enqueue(TASKS, "fault.snoozing")
    site.doom("child", "in work", ids[:: TASKS // DEATHS][:DEATHS])
    site.start_worker()
    outcome = await settle(site, "worker child killed, tasks snooze", time.monotonic())
    assert outcome.done == TASKS
    assert not site.doomed()


@pytest.mark.parametrize("victim", ["child", "main"])
async def test_workers_killed_while_they_run_tasks_of_a_key(site, victim):
    """Two keys, of each of which one task runs at a time."""
    ids = await site.enqueue(TASKS)
    await site.database.execute(
        "UPDATE tasks SET concurrency_key = ascii(right(id::text, 1)) % 2, due_at = available_at, "
        "available_at = 'infinity'"
    )
    deaths = RESTARTS if victim == "main" else DEATHS
    site.doom(victim, "in work", ids[:: TASKS // deaths][:deaths])
    running = "SELECT count(*) FROM tasks WHERE state = 'running' AND concurrency_key = '1'"
    async with _watched(site, running, 1), site.kept_worker():
        site.start_worker()
        fault = f"worker {victim} killed while its task has a concurrency key"
        outcome = await settle(site, fault, time.monotonic())
    assert outcome.done == TASKS
    assert not site.doomed()


async def test_database_restarts_while_deadlines_pass(own_site):
    """Half of the tasks are late: each of them is cancelled or done, and none is both."""
    ids = await own_site.enqueue(TASKS, seconds=0.05)
    late = ids[TASKS // 2 :]
    await own_site.database.execute(
        "UPDATE tasks SET start_before = now() + interval '2 s' WHERE id = ANY($1::uuid[])", late
    )
    own_site.start_worker()
    await own_site.until("count(*) FILTER (WHERE state = 'succeeded') > 3")
    own_site.server_process("postgres").send_signal(signal.SIGQUIT)
    since = time.monotonic()
    await own_site.until("count(*) FILTER (WHERE state IN ('queued', 'running')) = 0")
    cancelled = await own_site.database.fetch(
        "SELECT id FROM tasks WHERE state = 'cancelled' AND error = $1", EXPIRED
    )
    expired = {str(row["id"]) for row in cancelled}
    assert expired <= {*late}
    own_site.accepted -= expired
    outcome = await settle(own_site, "PostgreSQL immediate restart, deadlines pass", since)
    assert outcome.done == TASKS - len(expired)
