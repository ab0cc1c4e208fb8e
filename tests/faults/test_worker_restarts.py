"""Workers that are restarted one by one under a stream of tasks, and a queue drained on one."""

import asyncio
import json
import os
import signal
import time
from contextlib import asynccontextmanager

from tests import forkserver
from tests.factories import eventually
from tests.faults.harness import TASKS
from tests.faults.verdict import settle

RESTARTS = int(os.environ.get("ROLLING_RESTARTS", "3" if TASKS < 500 else "20"))
STREAM_SECONDS = 0.1


@asynccontextmanager
async def stream(site):
    """Accept tasks during the block, some twenty a second."""

    ended = asyncio.Event()

    # It is not cancelled: what a cancelled one had just committed would not count as accepted.
    async def enqueue():
        while not ended.is_set():
            await site.enqueue(2, seconds=0.05)
            await asyncio.sleep(STREAM_SECONDS)

    async with asyncio.TaskGroup() as group:
        group.create_task(enqueue())
        try:
            yield
        finally:
            ended.set()


async def test_workers_restarted_one_by_one(site):
    running = [site.start_worker(WORKER_SHUTDOWN_SECONDS="1") for _ in range(2)]
    # Their first attempts are interrupted and given back.
    await site.enqueue(2, seconds=60)
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 2")
    async with stream(site):
        for _ in range(RESTARTS):
            done = await site.database.fetchval(DONE)
            old = running.pop(0)
            running.append(site.start_worker(WORKER_SHUTDOWN_SECONDS="1"))
            os.kill(old.pid, signal.SIGTERM)
            assert await asyncio.to_thread(old.wait, 30) == 0
            await site.until(f"({DONE}) > {done + 20}")
    outcome = await settle(site, "workers restarted one by one (SIGTERM)", time.monotonic())
    assert outcome.done == outcome.accepted
    # An attempt that was given back does not count; one whose lease lapsed does.
    counted = await site.database.fetchval(
        "SELECT sum(attempts - (max_attempts - 20)) FROM tasks WHERE name LIKE 'fault.%'"
    )
    swept = sum(
        site.log_of(number).read_text().count("task_lost_its_worker")
        for number in range(len(site.workers))
    )
    assert counted == outcome.accepted + swept
    assert await site.database.fetchval("SELECT max(max_attempts) FROM tasks") > 20


DONE = "SELECT count(*) FROM tasks WHERE name LIKE 'fault.%' AND state = 'succeeded'"


async def test_workers_of_two_versions_beside_each_other(site):
    """Rows of the new version wait for new code; each code runs the rows of the old one."""
    old = await site.enqueue(TASKS // 2, "fault.versioned", seconds=0.01)
    new = await site.enqueue(TASKS // 2, "fault.versioned", milliseconds=10)
    newer = "UPDATE tasks SET version = 2 WHERE id = ANY($1::uuid[])"
    await site.database.execute(newer, new)
    site.start_worker(FAULT_RELEASE="old")
    await site.until(f"({DONE} AND id = ANY('{{{','.join(old)}}}')) = {len(old)}")
    attempts = "SELECT max(attempts) FROM tasks WHERE id = ANY($1::uuid[])"
    assert await site.database.fetchval(attempts, new) == 0
    await site.enqueue(TASKS // 2, "fault.versioned", seconds=0.01)
    since = time.monotonic()
    site.start_worker()
    outcome = await settle(site, "workers of two versions of a task beside each other", since)
    assert outcome.done == outcome.accepted
    assert await site.database.fetchval(attempts, list(site.accepted)) == 1


async def test_a_queue_is_drained_on_one_worker(site):
    """The other goes on with it, and the worker with other queues, until it is resumed."""

    async def enroll(*arguments):
        done = await forkserver.enroll("workers", *arguments, env=site.environment)
        return done.code, done.output, done.errors

    async def both():
        code, output, complaint = await enroll("list", "--json")
        assert code == 0, complaint
        found = {each["name"].partition("@")[0]: each for each in json.loads(output)}
        return found if found.keys() == {"one", "two"} else None

    async def run_by(ids):
        """Wait for tasks; return the main processes of their workers."""
        await site.until(f"({DONE} AND id = ANY('{{{','.join(ids)}}}')) = {len(ids)}")
        rows = await site.database.fetch(
            "SELECT DISTINCT worker FROM tasks WHERE id = ANY($1::uuid[])", ids
        )
        return {int(row["worker"].split("/")[1]) for row in rows}

    one, two = site.start_worker(name="one"), site.start_worker(name="two")
    shown = await eventually(both)
    assert {"default", "apart"} <= set(shown["one"]["queues"])
    name = shown["one"]["name"]
    await site.enqueue(4, seconds=12)
    await site.until("count(*) FILTER (WHERE name LIKE 'fault.%' AND state = 'running') = 4")
    code, _, complaint = await enroll("drain", name, "--queue", "default", "--timeout", "0")
    assert (code, complaint.strip()) == (
        3,
        f"enroll: {name} still has 2 tasks of default after 0 s",
    )
    async with stream(site):
        assert (await enroll("drain", name, "--queue", "default"))[0] == 0
        is_its_own = f"worker LIKE '%/{one.pid}/%' AND state = 'running'"
        assert await site.database.fetchval(f"SELECT count(*) FROM tasks WHERE {is_its_own}") == 0
        assert "default" not in (await both())["one"]["queues"]
        assert await run_by(await site.enqueue(TASKS)) == {two.pid}
    # It goes on with another queue.
    os.kill(two.pid, signal.SIGTERM)
    assert await asyncio.to_thread(two.wait, 30) == 0
    assert await run_by(await site.enqueue(1, "fault.apart")) == {one.pid}
    waiting = await site.enqueue(1)
    assert (await enroll("resume", name, "--queue", "default"))[0] == 0
    assert await run_by(waiting) == {one.pid}
    outcome = await settle(site, "queue drained on one worker, then resumed", time.monotonic())
    assert outcome.done == outcome.accepted
    assert (await enroll("drain", name))[0] == 0
    _, output, _ = await enroll("list", "--json")
    assert [each["queues"] for each in json.loads(output)] == [[]]
    code, _, complaint = await enroll("drain", "nobody@nowhere", "--queue", "default")
    assert (code, complaint.startswith("enroll: No such worker answers")) == (1, True)
