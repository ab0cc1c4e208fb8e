"""A broker that loses its data, dies, freezes, or is full."""

import asyncio
import shutil
import time

from tests.faults.harness import AWAY_SECONDS, TASKS, Site
from tests.faults.verdict import settle


async def _in_work(site: Site) -> None:
    await site.enqueue(TASKS, seconds=0.05)
    site.start_worker()
    await site.some_done()


async def test_broker_loses_all_messages(site):
    await _in_work(site)
    site.broker.flushall()
    assert (await settle(site, "broker FLUSHALL", time.monotonic())).done == TASKS


async def test_broker_restarts_without_its_data(own_site):
    await _in_work(own_site)
    await own_site.servers.stop("broker")
    for persisted in (own_site.folder / "servers").rglob("appendonlydir"):
        shutil.rmtree(persisted)
    since = time.monotonic()
    await own_site.servers.start("broker")
    outcome = await settle(own_site, "broker restarted without persistence", since)
    assert outcome.done == TASKS


async def test_broker_down(own_site):
    await own_site.enqueue(TASKS // 2, seconds=0.05)
    own_site.start_worker()
    await own_site.until("count(*) FILTER (WHERE state = 'succeeded') > 5")
    await own_site.servers.stop("broker")
    await own_site.enqueue(TASKS - TASKS // 2)
    await asyncio.sleep(AWAY_SECONDS)
    await own_site.servers.start("broker")
    outcome = await settle(own_site, f"broker down for {AWAY_SECONDS} s", time.monotonic())
    assert outcome.done == TASKS


async def test_broker_frozen(own_site):
    await _in_work(own_site)
    broker = own_site.server_process("broker")
    broker.suspend()
    await asyncio.sleep(AWAY_SECONDS)
    broker.resume()
    outcome = await settle(own_site, f"broker frozen for {AWAY_SECONDS} s", time.monotonic())
    assert outcome.done == TASKS


async def test_broker_full(site):
    """The broker refuses messages and all other writes of Celery."""
    await site.enqueue(TASKS // 2, seconds=0.05)
    async with site.kept_worker():
        await site.some_done()
        site.broker.config_set("maxmemory", 1)
        await site.enqueue(TASKS - TASKS // 2)
        await asyncio.sleep(AWAY_SECONDS)
        site.broker.config_set("maxmemory", 0)
        outcome = await settle(site, f"broker full for {AWAY_SECONDS} s", time.monotonic())
    assert outcome.done == TASKS


async def test_broker_answers_with_errors(site):
    """The relay checks the broker regularly and survives its errors."""
    site.start_worker()
    await site.until("count(*) > 0")
    await site.until("count(*) FILTER (WHERE state IN ('queued', 'running')) = 0")
    site.broker.acl_setuser("default", enabled=True, commands=["-llen"])
    await site.wait_for(lambda: "no permissions" in site.log_of(0).read_text())
    site.broker.acl_setuser("default", enabled=True, commands=["+llen"])
    since = time.monotonic()
    await site.enqueue(TASKS)
    outcome = await settle(site, "broker answers with errors for a while", since)
    assert outcome.done == TASKS
