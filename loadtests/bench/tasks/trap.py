"""`make bench-tasks ARGS=--trap`: our tasks while another transaction keeps an old snapshot open.

Vacuum then removes none of the row versions that tasks leave behind, four a task.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import redis
from uuid_utils.compat import uuid7

from loadtests.bench.results import print_progress
from loadtests.bench.tasks import cpu
from loadtests.bench.tasks.rounds import Size, paced, working
from loadtests.bench.tasks.systems import System

PART = 10_000
INSERT = """
    INSERT INTO tasks (id, name, args)
    SELECT id, 'bench.noop', '{"number": 1}' FROM unnest($1::uuid[]) AS id
"""
# By the index of the finished ones: another one would be as slow as what is measured.
ENDED = "SELECT count(*) FROM tasks WHERE finished_at >= $1"
RATE = """
    SELECT count(*) / extract(epoch FROM max(finished_at) - min(started_at))
    FROM tasks WHERE finished_at >= $1
"""


@dataclass(frozen=True)
class Step:
    """What was measured after so many tasks: a second, and of paced ones in milliseconds."""

    tasks: int
    done: float
    start_p50: float
    cpu: float


async def measure(system: System, url: str, count: int, told: redis.Redis) -> list[Step]:
    """Measure without the snapshot, and beside it after `count` tasks."""
    steps = []
    connection = await asyncpg.connect(url, command_timeout=300)
    try:
        await system.meter.clear()
        async with working(system) as pid:
            rates = [await _part(connection) for _ in range(2)]
            steps.append(Step(0, rates[-1], *await _paced(system, told, pid)))
            async with _snapshot(url):
                for done in range(PART, count + 1, PART):
                    rate = await _part(connection)
                    print_progress(f"after {done:,} tasks: {rate:,.0f} a second")
                steps.append(Step(done, rate, *await _paced(system, told, pid)))
    finally:
        await connection.close()
    return steps


def table(steps: list[Step]) -> str:
    """Render the steps."""
    lines = [
        "| tasks since the snapshot | done/s | slower | commit to start P50 ms | CPU ms |",
        "|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each.tasks:,} | {each.done:,.0f} | {steps[0].done / each.done:.2f} "
        f"| {each.start_p50:.1f} | {each.cpu:.1f} |"
        for each in steps
    ]
    return "\n".join(lines)


async def _part(connection: asyncpg.Connection) -> float:
    """Run a backlog; return the tasks a second."""
    began = await connection.fetchval("SELECT clock_timestamp()")
    await connection.execute(INSERT, [uuid7() for _ in range(PART)])
    await connection.execute("NOTIFY tasks")
    while await connection.fetchval(ENDED, began) < PART:  # noqa: ASYNC110  of other processes
        await asyncio.sleep(0.5)
    return float(await connection.fetchval(RATE, began))


async def _paced(system: System, told: redis.Redis, pid: int) -> tuple[float, float]:
    """Return the milliseconds from commit to start, and of processor time, of a paced task."""
    size = Size()
    before = sum(cpu.seconds(pid).values())
    (start_p50, _), _ = await paced(system, size, told)
    used = sum(cpu.seconds(pid).values()) - before
    return start_p50, 1000 * used / (size.paced + size.per_second)


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute("SELECT FROM tasks LIMIT 1")
            yield
    finally:
        await connection.close()
