"""Callers enqueue the same unique tasks and wait for their results while everything dies."""

import asyncio
import random
import signal
import time
from collections import Counter
from uuid import UUID

from infra.db.engine import UNUSABLE, database
from infra.queue.enqueue import enqueue
from infra.queue.errors import TaskFailed
from infra.queue.results import result
from infra.queue.unique import Unique
from tests.faults.harness import POLL_SECONDS, TASKS, Site
from tests.faults.verdict import OUTCOMES, Outcome

CALLERS = 4
DEATHS = 3
FAILING = 0
FAULT = "callers of unique tasks wait for results; relay, workers, PostgreSQL die"
SECONDS = 150 + TASKS / 5
ONCE = Unique(3600, on=["number"])


async def _enqueue(number: int) -> UUID:
    """Enqueue again after each error, of which nobody knows whether it has committed."""
    while True:
        try:
            args = {"number": number, "fails": number == FAILING}
            return await enqueue("fault.member", args, unique=ONCE)
        except UNUSABLE:
            await asyncio.sleep(POLL_SECONDS)


async def _call(caller: int) -> dict[int, UUID]:
    order = random.Random(caller).sample(range(TASKS), TASKS)
    return {number: await _enqueue(number) for number in order}


async def _restart(site: Site) -> None:
    site.server_process("postgres").send_signal(signal.SIGQUIT)
    await site.until("count(*) >= 0")


async def test_callers_share_unique_tasks_and_get_each_result(own_site):
    async with database(own_site.environment["DATABASE_URL"], pool_size=CALLERS):
        calls = [asyncio.create_task(_call(caller)) for caller in range(CALLERS)]
        await own_site.until(f"count(*) > {TASKS // 4}")
        await _restart(own_site)
        first, *others = await asyncio.gather(*calls)
        assert others == [first] * len(others)
        ids = [first[number] for number in range(TASKS)]
        own_site.doom("child", "in work", [str(each) for each in ids[1 : 1 + DEATHS]])
        own_site.doom("child", "after the commit", [str(each) for each in ids[-DEATHS:]])
        waits = [asyncio.create_task(result(each)) for each in ids for _ in range(CALLERS)]
        dying = own_site.start_worker("die publishing after")
        await own_site.wait_for(lambda: dying.poll() is not None)
        since = time.monotonic()
        async with own_site.kept_worker():
            await own_site.until(f"count(*) FILTER (WHERE state = 'succeeded') > {TASKS // 4}")
            await _restart(own_site)
            async with asyncio.timeout(SECONDS):
                found = await asyncio.gather(*waits, return_exceptions=True)
        # Within the period, what has ended is not enqueued again.
        assert await _enqueue(1) == ids[1]
    seconds = time.monotonic() - since
    for caller in range(CALLERS):
        await _check(own_site, ids, found[caller::CALLERS])
    OUTCOMES.append(Outcome(FAULT, TASKS, TASKS - 1, 1, 0, 0, seconds))
    assert not own_site.doomed()


async def _check(site: Site, ids: list[UUID], found: list[object]) -> None:
    """Check what a caller got: each task had its effect once, and its result is the caller's."""
    rows = await site.database.fetch("SELECT state FROM tasks WHERE name = 'fault.member'")
    assert Counter(row["state"] for row in rows) == {"succeeded": TASKS - 1, "failed": 1}
    effects = [row["task_id"] for row in await site.database.fetch("SELECT task_id FROM effects")]
    expected = ids[:FAILING] + ids[FAILING + 1 :]
    assert sorted(effects) == sorted(expected)
    assert isinstance(found.pop(FAILING), TaskFailed)
    assert found == [str(each) for each in expected]
