"""Workers that die, freeze or are told to stop, at every point of a task."""

import asyncio
import os
import shutil
import signal
import time
from contextlib import closing

import pytest
from celery import Celery

from infra.queue import publish
from infra.queue.publish import BATCH
from tasks.registry import Registration
from tests.absent import is_absent
from tests.faults.harness import TASKS, Site
from tests.faults.plugin.fault_effects import PLACES
from tests.faults.verdict import settle
from worker.relay import Relay

DEATHS = 5 if TASKS < 500 else 25
RESTARTS = 2 if TASKS < 500 else 10


@pytest.mark.parametrize("place", PLACES)
async def test_child_killed(site, place):
    ids = await site.enqueue(TASKS)
    site.doom("child", place, ids[:: TASKS // DEATHS])
    site.start_worker()
    outcome = await settle(site, f"worker child killed {place}", time.monotonic())
    assert outcome.done == TASKS
    assert not site.doomed()


@pytest.mark.parametrize("place", ["in work", "before the commit"])
async def test_child_killed_with_a_thread(site, place):
    ids = await site.enqueue(TASKS, "fault.plain")
    site.doom("child", place, ids[:: TASKS // DEATHS])
    site.start_worker()
    fault = f"worker child killed {place}, plain functions"
    outcome = await settle(site, fault, time.monotonic())
    assert outcome.done == TASKS
    assert not site.doomed()


@pytest.mark.parametrize("place", PLACES)
async def test_main_killed(site, place):
    ids = await site.enqueue(TASKS)
    site.doom("main", place, ids[:: TASKS // RESTARTS][:RESTARTS])
    async with site.kept_worker():
        outcome = await settle(site, f"worker main killed {place}", time.monotonic())
    assert outcome.done == TASKS
    assert not site.doomed()


@pytest.mark.parametrize(
    ("place", "sent"), [("before", 0), ("in the middle of", 5), ("after", BATCH)]
)
async def test_relay_killed_between_mark_and_publish(site, place, sent):
    await site.enqueue(max(TASKS, BATCH))
    # A relay without queues of its own, so that its messages stay in the broker.
    dying = site.start_worker(f"die publishing {place}", queues="apart")
    assert await asyncio.to_thread(dying.wait, 30) == -signal.SIGKILL
    assert site.broker.llen("default") == sent
    marked = "count(*) FILTER (WHERE published_at IS NOT NULL)"
    assert await site.database.fetchval(f"SELECT {marked} FROM tasks") >= BATCH
    since = time.monotonic()
    site.start_worker()
    outcome = await settle(site, f"relay killed {place} publishing what it has marked", since)
    assert outcome.done == max(TASKS, BATCH)


@pytest.fixture
async def relay(site, monkeypatch):
    """A relay in this process that publishes everything at once."""

    async def nothing(_context: object) -> None:
        """Never runs."""

    monkeypatch.setattr(publish, "WINDOW", 10 * TASKS)
    kinds = {"fault.effect": Registration("fault.effect", nothing, "default", 20, 60, (), None)}
    celery = Celery(broker=site.environment["BROKER_URL"], config_source={"task_ignore_result": 1})
    with closing(Relay(await site.database.acquire(), celery, kinds)) as made:
        yield made


async def _publish_all(relay: Relay) -> None:
    while await relay.publish():
        pass


async def test_a_message_popped_by_a_frozen_worker_is_published_again(site, relay):
    frozen = site.start_worker()
    lost = False
    while not lost:
        await site.until("count(*) FILTER (WHERE state = 'succeeded') > 0")
        await site.until("count(*) FILTER (WHERE state IN ('queued', 'running')) = 0")
        await site.wait_for(lambda: _is_waiting(site))
        os.killpg(frozen.pid, signal.SIGSTOP)
        await site.enqueue(1)
        await _publish_all(relay)
        lost = not site.broker.llen("default")
        if not lost:  # Its BRPOP had just ended.
            os.killpg(frozen.pid, signal.SIGCONT)
    await site.enqueue(TASKS - len(site.accepted))
    await _publish_all(relay)
    os.killpg(frozen.pid, signal.SIGKILL)
    since = time.monotonic()
    site.start_worker()
    outcome = await settle(site, "worker frozen in BRPOP, messages published, killed", since)
    assert outcome.done == TASKS


def _is_waiting(site: Site) -> bool:
    return any("b" in client["flags"] for client in site.broker.client_list())


@pytest.mark.parametrize(
    ("name", "fault"),
    [("fault.effect", ""), ("fault.effect", "no heartbeat"), ("fault.plain", "no heartbeat")],
)
async def test_worker_frozen_past_its_leases_wakes_up(site, name, fault):
    """It continues beside the next attempt; without a heartbeat only the fence stops its commit."""
    await site.enqueue(2, name, seconds=1.5, slow_attempts=2)
    frozen = site.start_worker(fault)
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 2")
    os.killpg(frozen.pid, signal.SIGSTOP)
    await site.enqueue(TASKS - 2)
    since = time.monotonic()
    site.start_worker()
    await site.until("count(*) FILTER (WHERE state = 'running' AND attempts = 2) > 0")
    os.killpg(frozen.pid, signal.SIGCONT)
    await site.wait_for(lambda: site.log_of(0).read_text().count("task_taken_away") >= 2)
    how = f"worker frozen past its leases, then thawed{f', {fault}' if fault else ''}"
    how += ", plain functions" if name == "fault.plain" else ""
    assert (await settle(site, how, since)).done == TASKS


async def test_one_message_delivered_three_times_in_parallel(site, relay, monkeypatch):
    """The copies of a message are neighbours, so that idle processes take them concurrently."""
    send = relay._send  # noqa: SLF001  it has no public name

    def send_thrice(row) -> None:
        for _ in range(3):
            send(row)

    monkeypatch.setattr(relay, "_send", send_thrice)
    await site.enqueue(TASKS, seconds=0.2)
    await _publish_all(relay)
    assert site.broker.llen("default") == 3 * TASKS
    since = time.monotonic()
    for _ in range(2):
        site.start_worker()
    outcome = await settle(site, "each message delivered three times in parallel", since)
    assert outcome.done == TASKS
    assert len(set(site.refused("running"))) > TASKS // 2
    assert await site.database.fetchval("SELECT max(attempts) FROM tasks") == 1


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("fault.effect", ""),
        ("fault.blocking", ", blocking the event loop"),
        ("fault.plain", ", plain functions"),
    ],
)
async def test_tasks_that_outlive_their_leases(site, name, how):
    """They sleep for three leases; only the heartbeat keeps their leases."""
    ids = await site.enqueue(2, name, seconds=6)
    for _ in range(2):
        site.start_worker()
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 2")
    await site.enqueue(TASKS - 2)
    fault = f"no fault: tasks of three leases' length{how}"
    outcome = await settle(site, fault, time.monotonic())
    assert outcome.done == TASKS
    attempts = "SELECT max(attempts) FROM tasks WHERE id = ANY($1::uuid[])"
    assert await site.database.fetchval(attempts, ids) == 1
    blocked = sum(site.log_of(n).read_text().count("event_loop_blocked") for n in range(2))
    assert blocked == (2 if name == "fault.blocking" else 0)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("fault.poison", "poison task ends its process"),
        ("fault.hungry", "poison task killed for its memory"),
        ("fault.greedy", "poison task is refused memory"),
        ("fault.hung", "task blocks for ever"),
        ("fault.stuck", "task's thread never ends"),
        ("fault.refused", "task fails for good"),
    ],
)
async def test_tasks_that_cannot_succeed(site, memory_cgroup, name, fault):
    if name == "fault.hungry" and memory_cgroup:
        fault += " by the kernel"
    await site.enqueue(2, name)
    await site.enqueue(TASKS - 2)
    site.start_worker(FAULT_CGROUP=memory_cgroup)
    outcome = await settle(site, fault, time.monotonic())
    assert (outcome.done, outcome.failed) == (TASKS - 2, 2)
    if name == "fault.greedy":
        # A process at its memory limit fails its next tasks as well.
        assert site.log_of(0).read_text().count("worker_process_has_no_memory") == 2 * 2


async def test_told_to_stop(site):
    await site.enqueue(1, seconds=60)
    short = await site.enqueue(1, seconds=1.5)
    first = site.start_worker(WORKER_SHUTDOWN_SECONDS="3")
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 2")
    await site.enqueue(TASKS - 2)
    since = time.monotonic()
    os.kill(first.pid, signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 10) == 0
    await site.until("count(*) FILTER (WHERE state = 'running') = 0", seconds=1)
    ended = await site.database.fetchrow("SELECT * FROM tasks WHERE id = $1::uuid", short[0])
    assert (ended["state"], ended["attempts"]) == ("succeeded", 1)
    # Released, not swept after the lease lapsed: a sweep would count the attempt.
    assert await site.database.fetchval("SELECT max(max_attempts) FROM tasks") == 21
    site.start_worker()
    assert (await settle(site, "worker told to stop (SIGTERM)", since)).done == TASKS


async def _cancel(site: Site) -> None:
    await site.database.execute(
        "UPDATE tasks SET cancel_requested = TRUE WHERE name LIKE 'fault.%' AND state = 'running'"
    )


async def test_running_task_cancelled(site):
    await site.enqueue(1, seconds=60)
    site.start_worker()
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 1")
    await _cancel(site)
    # At a heartbeat, before the lease of 2 s lapses and a sweep finds it.
    await site.until("count(*) FILTER (WHERE state = 'cancelled') = 1", seconds=1.5)
    assert await site.database.fetchval("SELECT count(*) FROM effects") == 0


async def test_task_cancelled_as_its_worker_stops(site):
    """It blocks, so it cannot see the cancellation; after its release it must not wait for ever."""
    await site.enqueue(1, "fault.hung")
    worker = site.start_worker(WORKER_SHUTDOWN_SECONDS="0")
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 1")
    await _cancel(site)
    os.kill(worker.pid, signal.SIGTERM)
    await asyncio.to_thread(worker.wait, 10)
    await site.until("count(*) FILTER (WHERE state = 'cancelled') = 1", seconds=1)


async def test_clock_an_hour_ahead(site):
    if not (faketime := shutil.which("faketime")):
        is_absent("faketime", "faketime")
    shown = await asyncio.create_subprocess_exec(
        faketime, "+1h", "printenv", "LD_PRELOAD", stdout=asyncio.subprocess.PIPE
    )
    library = (await shown.communicate())[0].decode().strip()
    await site.enqueue(TASKS, seconds=0.1)
    ahead = site.start_worker(LD_PRELOAD=library, FAKETIME="+1h", FAKETIME_DONT_FAKE_MONOTONIC="1")
    site.start_worker()
    outcome = await settle(site, "clock of a worker an hour ahead", time.monotonic())
    assert outcome.done == TASKS
    assert set(await _workers(site)) >= {ahead.pid}


async def _workers(site: Site) -> list[int]:
    rows = await site.database.fetch("SELECT DISTINCT worker FROM tasks")
    return [int(row["worker"].split("/")[1]) for row in rows]


async def test_a_flooded_queue_does_not_delay_others(site):
    await site.enqueue(TASKS * 10, seconds=0.3)
    site.start_worker(queues="default")
    site.start_worker(queues="apart")
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'succeeded') > 1")
    await site.enqueue(1, "fault.apart")
    await site.until("count(*) FILTER (WHERE name = 'fault.apart' AND state = 'succeeded') = 1", 3)
