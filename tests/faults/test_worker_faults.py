"""Workers that die, freeze, or are told to stop, at every place of a task."""

import asyncio
import os
import shutil
import signal
import time

import pytest
import redis
from celery import Celery

from tasks.registry import Registration
from tests.faults.harness import TASKS
from worker.relay import Relay


@pytest.mark.parametrize("place", ["in work", "after the put", "after the commit"])
async def test_child_killed(site, place):
    await site.enqueue(TASKS - TASKS // 10)
    await site.enqueue(TASKS // 10, die=place)
    site.start_worker()
    outcome = await site.verdict(f"worker child killed {place}", time.monotonic())
    assert outcome.done == TASKS


async def test_main_killed_in_work(site):
    await site.enqueue(TASKS, seconds=0.05)
    first = site.start_worker()
    await site.some_done()
    site.kill(first)
    since = time.monotonic()
    site.start_worker()
    assert (await site.verdict("worker main killed in work", since)).done == TASKS


async def test_relay_killed_between_mark_and_publish(site):
    await site.enqueue(TASKS)
    dying = site.start_worker(fault="die while publishing")
    await asyncio.to_thread(dying.wait, 30)
    since = time.monotonic()
    site.start_worker()
    assert (await site.verdict("relay killed between mark and publish", since)).done == TASKS


async def _relay(site) -> Relay:
    async def nothing(_context):
        """Never runs here."""

    kinds = {"fault.effect": Registration("fault.effect", nothing, "default", 20, 60, (), None)}
    celery = Celery(broker=site.environment["BROKER_URL"], config_source={"task_ignore_result": 1})
    return Relay(await site.database.acquire(), celery, kinds)


async def _publish_all(relay: Relay) -> None:
    while await relay.publish():
        pass


async def test_frozen_worker_that_takes_messages_with_it(site):
    frozen = site.start_worker()
    await site.enqueue(1)
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'succeeded') = 1")
    os.killpg(frozen.pid, signal.SIGSTOP)
    await site.enqueue(TASKS - 1)
    await _publish_all(await _relay(site))
    os.killpg(frozen.pid, signal.SIGKILL)
    since = time.monotonic()
    site.start_worker()
    outcome = await site.verdict("worker frozen in BRPOP, messages published, killed", since)
    assert outcome.done == TASKS


async def test_killed_before_claim(site):
    await site.enqueue(TASKS)
    relay = await _relay(site)
    await _publish_all(relay)
    worker = site.start_worker()
    broker = redis.Redis.from_url(site.environment["BROKER_URL"])
    published = broker.llen("default")
    await site.wait_for(lambda: broker.llen("default") < published)
    os.killpg(worker.pid, signal.SIGKILL)
    since = time.monotonic()
    site.start_worker()
    assert (await site.verdict("worker killed as it takes messages", since)).done == TASKS


async def test_one_message_delivered_three_times(site):
    await site.enqueue(TASKS, seconds=0.02)
    relay = await _relay(site)
    for _ in range(3):
        await _publish_all(relay)
        await site.database.execute("UPDATE tasks SET published_at = NULL, lease_until = NULL")
    since = time.monotonic()
    for _ in range(2):
        site.start_worker()
    assert (await site.verdict("each message delivered three times", since)).done == TASKS


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("fault.poison", "poison task ends its process"),
        ("fault.hungry", "task killed for its memory"),
        ("fault.hung", "task blocks for ever"),
    ],
)
async def test_tasks_that_can_not_end_well(site, name, fault):
    await site.enqueue(2, name)
    await site.enqueue(TASKS - 2)
    site.start_worker()
    outcome = await site.verdict(fault, time.monotonic())
    assert (outcome.done, outcome.failed) == (TASKS - 2, 2)


async def test_told_to_stop(site):
    await site.enqueue(2, seconds=60)
    first = site.start_worker(WORKER_SHUTDOWN_SECONDS="1")
    await site.until("count(*) FILTER (WHERE state = 'running') = 2")
    await site.enqueue(TASKS - 2)
    since = time.monotonic()
    site.kill(first, signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 10) == 0
    # Given back at once: no lease had to lapse, and the attempt is not counted against them.
    await site.until("count(*) FILTER (WHERE state = 'running') = 0", seconds=1)
    site.start_worker()
    assert (await site.verdict("worker told to stop (SIGTERM)", since)).done == TASKS


async def test_running_task_cancelled(site):
    await site.enqueue(1, seconds=60)
    site.start_worker()
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 1")
    await site.database.execute("UPDATE tasks SET cancel_requested = TRUE WHERE state = 'running'")
    await site.until("count(*) FILTER (WHERE state = 'cancelled') = 1", seconds=10)
    assert await site.database.fetchval("SELECT count(*) FROM effects") == 0


async def test_clock_an_hour_ahead(site):
    if not (faketime := shutil.which("faketime")):
        pytest.skip("no faketime here: apt-get install faketime")
    shown = await asyncio.create_subprocess_exec(
        faketime, "+1h", "printenv", "LD_PRELOAD", stdout=asyncio.subprocess.PIPE
    )
    library = (await shown.communicate())[0].decode().strip()
    await site.enqueue(TASKS)
    site.start_worker(LD_PRELOAD=library, FAKETIME="+1h", FAKETIME_DONT_FAKE_MONOTONIC="1")
    site.start_worker()
    outcome = await site.verdict("clock of a worker an hour ahead", time.monotonic())
    assert outcome.done == TASKS
