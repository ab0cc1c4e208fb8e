"""Schedulers that die while they enqueue a slot, and what is due later over faults meanwhile."""

import asyncio
import os
import signal
import time
from uuid import NAMESPACE_OID, uuid5

import pytest

from tests import forkserver
from tests.factories import eventually
from tests.faults.harness import TASKS, Site
from tests.faults.plugin.fault_effects import TICK, TICKING
from tests.faults.verdict import Outcome, settle

TICKS = 6 if TASKS < 500 else 60
RESTARTS = 2 if TASKS < 500 else 10


async def _watch(site: Site, seconds: float = 0) -> None:
    """Note each slot that is served, which takes so long; each gets a task of its own.

    Without that, a task that waits while a worker is dead would stand for several slots.
    """
    await site.database.execute(f"""
        CREATE TABLE slots (slot timestamptz NOT NULL);
        CREATE FUNCTION note_slot() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO slots VALUES (NEW.last_slot);
                   PERFORM pg_sleep({seconds}); RETURN NULL; END';
        CREATE TRIGGER note_slot AFTER UPDATE OF last_slot ON task_schedules
            FOR EACH ROW WHEN (NEW.name = '{TICK}') EXECUTE FUNCTION note_slot();
        CREATE FUNCTION own_task() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.dedupe_key := NULL; RETURN NEW; END';
        CREATE TRIGGER own_task BEFORE INSERT ON tasks
            FOR EACH ROW WHEN (NEW.name = '{TICK}') EXECUTE FUNCTION own_task()
    """)


async def _ticked(site: Site, count: int) -> None:
    await site.until(f"count(*) FILTER (WHERE name = '{TICK}' AND state = 'succeeded') >= {count}")


async def _settle(site: Site, fault: str, since: float) -> Outcome:
    """Pause the schedule, and assert that each slot has been enqueued once and had one effect."""

    async def is_paused() -> bool:
        environment = site.environment | {TICKING: "1"}
        return (await forkserver.enroll("schedule", "pause", TICK, env=environment)).code == 0

    # The server may still be restarting.
    await eventually(is_paused)
    slots = [row["slot"] for row in await site.database.fetch("SELECT slot FROM slots")]
    assert len(slots) == len(set(slots))
    tasks = await site.database.fetch("SELECT id FROM tasks WHERE name = $1", TICK)
    made = {uuid5(NAMESPACE_OID, f"{TICK}@{int(slot.timestamp())}") for slot in slots}
    assert {row["id"] for row in tasks} == made
    site.accepted.update(map(str, made))
    outcome = await settle(site, fault, since)
    assert outcome.done == len(slots) >= TICKS
    return outcome


@pytest.mark.parametrize("place", ["before", "during", "after"])
async def test_main_killed_while_it_enqueues_a_slot(site, place):
    await _watch(site, seconds=0.4 if place == "during" else 0)
    dying = site.start_worker(f"die scheduling {place}", **{TICKING: "1"})
    assert await asyncio.to_thread(dying.wait, 30) == -signal.SIGKILL
    since = time.monotonic()
    for _ in range(2):
        site.start_worker(**{TICKING: "1"})
    await _ticked(site, TICKS)
    await _settle(site, f"worker main killed {place} the enqueueing of a slot", since)


async def test_database_restarts_while_slots_are_enqueued(own_site):
    await _watch(own_site)
    for _ in range(2):
        own_site.start_worker(**{TICKING: "1"})
    for restart in range(1, RESTARTS + 1):
        await _ticked(own_site, restart * TICKS // (RESTARTS + 1))
        own_site.server_process("postgres").send_signal(signal.SIGQUIT)
        since = time.monotonic()
    await _ticked(own_site, TICKS)
    await _settle(own_site, f"PostgreSQL restarted {RESTARTS} times while slots come", since)


async def test_tasks_of_a_later_time_when_worker_and_broker_are_lost_before_it(site):
    await site.enqueue(TASKS)
    due = await site.database.fetchval(
        "UPDATE tasks SET available_at = now() + interval '8 seconds' RETURNING available_at"
    )
    lost = site.start_worker()
    # A relay has run: this worker has enqueued the built-in schedules.
    await site.until("count(*) FILTER (WHERE dedupe_key IS NOT NULL) > 0")
    os.killpg(lost.pid, signal.SIGKILL)
    site.broker.flushall()
    since = time.monotonic()
    site.start_worker()
    outcome = await settle(site, "worker killed and broker FLUSHALL before tasks are due", since)
    assert outcome.done == TASKS
    started = "SELECT min(started_at) FROM tasks WHERE name = 'fault.effect'"
    assert await site.database.fetchval(started) >= due
