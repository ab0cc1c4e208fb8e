"""Batches whose workers, relays and servers die: each callback runs once, after all tasks.

`FAULT_BATCHES` and `FAULT_BATCH_SIZE` say how many batches of how many tasks there are.
"""

import os
import signal
import time
from collections import Counter

import pytest

from infra.db.engine import database
from infra.queue.workflows import CALLBACK, Workflow, enqueue_batch
from tests.faults.harness import Site
from tests.faults.verdict import OUTCOMES, Outcome

BATCHES = int(os.environ.get("FAULT_BATCHES", "20"))
SIZE = int(os.environ.get("FAULT_BATCH_SIZE", "10"))
TASKS = BATCHES * (SIZE + 1)
SECONDS = 150 + TASKS / 20
DEATHS = max(6, BATCHES // 10)
RESTARTS = max(1, BATCHES // 100)
# Not a count of all: there may be very many.
ENDED = "NOT EXISTS (SELECT FROM tasks WHERE state IN ('queued', 'running'))"
TOO_EARLY = """
    SELECT count(*) FROM task_edges JOIN tasks AS parent ON parent.id = parent_id
    JOIN tasks AS child ON child.id = child_id WHERE parent.finished_at > child.started_at
"""


async def _enqueue(site: Site) -> list[Workflow]:
    """Accept the batches; in each of them one task fails."""
    async with database(site.environment["DATABASE_URL"], pool_size=1):
        return [
            await enqueue_batch(
                "fault.member", ({"fails": n == 0} for n in range(SIZE)), "fault.callback", {}
            )
            for _ in range(BATCHES)
        ]


def _spread(ids: list[str], count: int) -> list[str]:
    return ids[:: max(1, len(ids) // count)][:count]


def _ids(batches: list[Workflow]) -> tuple[list[str], list[str]]:
    """Return the ids of the tasks that do not fail, and those of the callbacks."""
    members = [str(batch.tasks[str(number)]) for batch in batches for number in range(1, SIZE)]
    return members, [str(batch.tasks[CALLBACK]) for batch in batches]


async def _settle(site: Site, batches: list[Workflow], fault: str, since: float) -> None:
    """Wait until all tasks have ended; count, record and assert."""
    await site.until(ENDED, SECONDS)
    seconds = time.monotonic() - since
    members, callbacks = _ids(batches)
    # Not the periodic ones.
    rows = await site.database.fetch("SELECT id, state FROM tasks WHERE workflow_id IS NOT NULL")
    states = {str(row["id"]): row["state"] for row in rows}
    effects = Counter(
        str(row["task_id"]) for row in await site.database.fetch("SELECT task_id FROM effects")
    )
    done = {each for each, state in states.items() if state == "succeeded"}
    counts = Counter(states.values())
    lost = len({*members, *callbacks} - (done & effects.keys()))
    duplicated = effects.total() - len(effects) + len(effects.keys() - done)
    OUTCOMES.append(
        Outcome(fault, TASKS, counts["succeeded"], counts["failed"], lost, duplicated, seconds)
    )
    assert counts == {"succeeded": TASKS - BATCHES, "failed": BATCHES}
    assert (lost, duplicated) == (0, 0)
    assert {each: effects[each] for each in callbacks} == dict.fromkeys(callbacks, 1)
    assert await site.database.fetchval(TOO_EARLY) == 0


@pytest.mark.parametrize("victim", ["child", "main"])
async def test_workers_killed_while_batches_run(site, victim):
    batches = await _enqueue(site)
    members, callbacks = _ids(batches)
    deaths = RESTARTS if victim == "main" else DEATHS
    site.doom(victim, "in work", [*_spread(members, deaths), *_spread(callbacks, deaths)])
    site.doom(victim, "after the commit", _spread(members[1:], deaths))
    async with site.kept_worker():
        await _settle(
            site,
            batches,
            f"worker {victim} killed, {BATCHES} batches of {SIZE}",
            time.monotonic(),
        )
    assert not site.doomed()


@pytest.mark.parametrize("place", ["before the commit", "after the commit"])
async def test_relay_killed_while_it_releases_callbacks(site, place):
    batches = await _enqueue(site)
    dying = site.start_worker(f"die telling {place}")
    await site.wait_for(lambda: dying.poll() is not None)
    since = time.monotonic()
    site.start_worker()
    await _settle(site, batches, f"relay killed {place} that releases callbacks", since)


async def test_database_restarts_and_the_broker_is_flushed_while_batches_run(own_site):
    batches = await _enqueue(own_site)
    for _ in range(2):
        own_site.start_worker()
    await own_site.until(f"count(*) FILTER (WHERE state = 'succeeded') > {TASKS // 10}", SECONDS)
    own_site.server_process("postgres").send_signal(signal.SIGQUIT)
    since = time.monotonic()
    await own_site.until(f"count(*) FILTER (WHERE state = 'succeeded') > {TASKS // 3}", SECONDS)
    own_site.broker.flushall()
    await _settle(own_site, batches, "PostgreSQL immediate restart, broker flushed, batches", since)
