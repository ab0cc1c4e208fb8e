"""A process that runs ten tasks at a time: whatever becomes of it, each task is for itself."""

import asyncio
import json
import os
import signal
import time

import pytest

from cli.connection_budget import Budget
from cli.workers import EXIT_NOT_DRAINED
from infra.db.pool import POOL_WAIT_SECONDS
from infra.settings import Settings
from tests import forkserver
from tests.factories import eventually
from tests.faults.harness import TASKS
from tests.faults.test_queue_faults import PAUSE, RESUME
from tests.faults.verdict import settle

NAME, PLACES = "fault.beside", 10
RUNNING = f"count(*) FILTER (WHERE name = '{NAME}' AND state = 'running')"
ALL_RUN = f"{RUNNING} = {2 * PLACES}"


@pytest.mark.parametrize("place", ["after the put", "before the commit", "after the commit"])
async def test_child_killed_while_it_runs_ten(site, place):
    # Long enough that a busy machine renews those of the other process.
    with site.held():
        await site.enqueue(2 * PLACES, NAME)
        site.start_worker(FAULT_LEASE_SECONDS="6")
        await site.until(ALL_RUN)
        await site.enqueue(TASKS - 2 * PLACES, NAME)
        running = f"SELECT min(id::text) FROM tasks WHERE state = 'running' AND name = '{NAME}'"
        site.doom("child", place, [await site.database.fetchval(running)])
    fault = f"worker child killed {place}, ten at a time"
    outcome = await settle(site, fault, time.monotonic())
    assert outcome.done == TASKS
    assert not site.doomed()
    # Those that ran beside it, and none of the other process.
    again = await site.database.fetchval("SELECT count(*) FROM tasks WHERE attempts > 1")
    assert 1 <= again <= PLACES


async def test_main_killed_while_its_children_run_ten(site):
    async with site.kept_worker():
        with site.held():
            await site.enqueue(2 * PLACES, NAME)
            await site.until(ALL_RUN)
            await site.enqueue(TASKS - 2 * PLACES, NAME)
            since = time.monotonic()
            os.kill(site.workers[0].pid, signal.SIGKILL)
        outcome = await settle(site, "worker main killed, ten at a time", since)
    assert outcome.done == TASKS


@pytest.mark.parametrize("fault", ["", "no heartbeat"])
async def test_worker_frozen_past_its_leases_while_it_runs_ten(site, fault):
    with site.held():
        await site.enqueue(2 * PLACES, NAME, slow_attempts=2)
        frozen = site.start_worker(fault)
        await site.until(ALL_RUN)
        os.killpg(frozen.pid, signal.SIGSTOP)
        await site.enqueue(TASKS - 2 * PLACES, NAME)
        since = time.monotonic()
        site.start_worker()
        await site.until("count(*) FILTER (WHERE state = 'running' AND attempts = 2) > 0")
        os.killpg(frozen.pid, signal.SIGCONT)
    taken_away = 2 * PLACES
    await site.wait_for(lambda: site.log_of(0).read_text().count("task_taken_away") >= taken_away)
    how = (
        f"worker frozen past its leases, then thawed, ten at a time{f', {fault}' if fault else ''}"
    )
    assert (await settle(site, how, since)).done == TASKS


async def test_tasks_that_outlive_their_leases_ten_at_a_time(site):
    with site.held():
        await site.enqueue(2 * PLACES, NAME)
        site.start_worker()
        await site.until(ALL_RUN)
        await site.enqueue(TASKS - 2 * PLACES, NAME)
        await asyncio.sleep(6)
    fault = "no fault: tasks of three leases' length, ten at a time"
    assert (await settle(site, fault, time.monotonic())).done == TASKS
    assert await site.database.fetchval("SELECT max(attempts) FROM tasks") == 1


async def test_told_to_stop_while_it_runs_ten(site):
    """It takes no more, and lets those end that can."""
    with site.held():
        long = await site.enqueue(1, NAME, seconds=60)
        short = await site.enqueue(2 * PLACES - 1, NAME)
        first = site.start_worker(WORKER_SHUTDOWN_SECONDS="10")
        await site.until(ALL_RUN)
        waiting = await site.enqueue(TASKS - 2 * PLACES, NAME)
        since = time.monotonic()
        os.kill(first.pid, signal.SIGTERM)
        # It takes no more tasks before those that it runs end.
        await asyncio.sleep(2)
    assert await asyncio.to_thread(first.wait, 40) == 0
    assert await _states(site, short) == {("succeeded", 1)}
    assert await _states(site, long) == {("queued", 1)}
    assert await _states(site, waiting) == {("queued", 0)}
    # It was given back, so its attempt does not count.
    assert await site.database.fetchval("SELECT max(max_attempts) FROM tasks") == 21
    await site.database.execute("UPDATE tasks SET args = '{}' WHERE state = 'queued'")
    site.start_worker()
    outcome = await settle(site, "worker told to stop (SIGTERM), ten at a time", since)
    assert outcome.done == TASKS


async def test_each_of_ten_has_a_connection_and_the_budget_counts_it(site, monkeypatch):
    monkeypatch.setattr("cli.connection_budget.most_at_once", lambda: PLACES)
    settings = Settings(_env_file=None, worker_concurrency=2)
    with site.held():
        await site.enqueue(2 * PLACES, "fault.holding")
        site.start_worker(FAULT_LEASE_SECONDS="60")
        running = "count(*) FILTER (WHERE name = 'fault.holding' AND state = 'running')"
        await site.until(f"{running} = 20")
        # Longer than the pool lets one wait for a connection.
        await asyncio.sleep(POOL_WAIT_SECONDS + 1)
        # The connections of this test are not the worker's.
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        used = await site.database.fetchval(count) - site.database.get_size()
    assert 2 * PLACES <= used <= Budget.of(settings).worker
    await site.until("count(*) FILTER (WHERE name = 'fault.holding' AND state = 'succeeded') = 20")
    assert await site.database.fetchval("SELECT max(attempts) FROM tasks") == 1


@pytest.mark.parametrize("how", ["paused", "drained"])
async def test_a_queue_that_is_taken_away_while_ten_run(site, how):
    with site.held():
        running = await site.enqueue(2 * PLACES, NAME)
        site.start_worker("companions for 60", name="one")
        await site.until(ALL_RUN)
        waiting = await site.enqueue(TASKS - 2 * PLACES, NAME)
        if how == "paused":
            await site.database.execute(PAUSE)
        else:
            (worker,) = await eventually(lambda: _listed(site))
            drain = ("drain", worker["name"], "--queue", "default", "--timeout", "0")
            await _workers(site, *drain, code=EXIT_NOT_DRAINED)
    await site.until(f"{RUNNING} = 0")
    # Longer than a place waits for the next task, and than a relay needs.
    await asyncio.sleep(1.5)
    assert await _states(site, running) == {("succeeded", 1)}
    assert await _states(site, waiting) == {("queued", 0)}
    since = time.monotonic()
    if how == "paused":
        await site.database.execute(RESUME)
    else:
        await _workers(site, "resume", worker["name"], "--queue", "default")
    assert (await settle(site, f"queue {how} while ten run at a time", since)).done == TASKS


async def _states(site, ids) -> set[tuple[str, int]]:
    found = await site.database.fetch(
        "SELECT state, attempts FROM tasks WHERE id = ANY($1::uuid[])", ids
    )
    return {(row["state"], row["attempts"]) for row in found}


async def _listed(site) -> list[dict[str, object]]:
    return json.loads(await _workers(site, "list", "--json"))


async def _workers(site, *arguments, code=0) -> str:
    """Run `enroll workers`; return what it printed."""
    done = await forkserver.enroll("workers", *arguments, env=site.environment)
    assert done.code == code, done.errors
    return done.output
