"""A bucket that is down, or answers falsely."""

import asyncio
import time

from tests.faults.harness import AWAY_SECONDS, TASKS
from tests.faults.liar import liar
from tests.faults.verdict import settle


async def test_bucket_down(own_site):
    await own_site.enqueue(TASKS, seconds=0.05)
    own_site.start_worker()
    await own_site.some_done()
    await own_site.servers.stop("storage")
    await asyncio.sleep(AWAY_SECONDS)
    await own_site.servers.start("storage")
    outcome = await settle(own_site, f"S3 down for {AWAY_SECONDS} s", time.monotonic())
    assert outcome.done == TASKS


async def test_bucket_answers_falsely(site):
    async with liar(site.environment["S3_ENDPOINT_URL"], count=TASKS) as (endpoint, told):
        await site.enqueue(TASKS)
        site.start_worker(S3_ENDPOINT_URL=endpoint)
        outcome = await settle(site, "S3 answers 500, cuts bodies off, is silent", time.monotonic())
    assert outcome.done == TASKS
    assert (len(told), len(set(told))) == (TASKS, 4)
