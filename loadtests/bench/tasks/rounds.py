"""One round of one system: enqueue a backlog, work it off, then tasks at a pace."""

import asyncio
import json
import os
import signal
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis

from infra.process.system import die_with_parent
from loadtests.bench.tasks import cpu, stamps
from loadtests.bench.tasks.systems import System

CALLERS = 8
STOP_SECONDS = 15.0
STAMP_SECONDS = 10.0


@dataclass(frozen=True)
class Size:
    """How much a round does; `paced` tasks come at `per_second`, after a second of warm-up."""

    serial: int = 1_000
    concurrent: int = 2_000
    paced: int = 300
    per_second: int = 50


@dataclass(frozen=True)
class Figures:
    """What a round measured: tasks a second, and milliseconds; `cpu_…` are of one paced task."""

    enqueued_serially: float
    enqueued_concurrently: float
    done: float
    start_p50: float
    start_p99: float
    asked_p50: float
    asked_p99: float
    cpu_main: float
    cpu_children: float
    cpu_postgres: float
    cpu_broker: float


async def measure(system: System, size: Size, told: redis.Redis) -> Figures:
    """Measure a system once."""
    await system.meter.clear()
    serially = await _send(system, "noop", size.serial, 1)
    concurrently = await _send(system, "noop", size.concurrent, CALLERS)
    async with working(system) as pid:
        done = await system.meter.drain(size.serial + size.concurrent)
        before = cpu.seconds(pid)
        committed, asked = await paced(system, size, told)
        used = cpu.seconds(pid)
    count = size.paced + size.per_second
    return Figures(
        serially,
        concurrently,
        done,
        *committed,
        *asked,
        *(1000 * (used[part] - before[part]) / count for part in cpu.PARTS),
    )


async def paced(
    system: System, size: Size, told: redis.Redis
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Enqueue at a pace; return P50 and P99 in ms to the start, from the commit and the call."""
    told.delete(stamps.KEY)
    times = await _send(system, "stamp", size.paced + size.per_second, size.per_second)
    began = await _stamps(told, len(times))
    late = [(began[n] - sent, began[n] - asked) for n, (asked, sent) in enumerate(times)]
    committed, asked = ([1000 * each for each in column] for column in zip(*late, strict=True))
    return _percentiles(committed[size.per_second :]), _percentiles(asked[size.per_second :])


def _percentiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


async def _send(system: System, *arguments: object) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(str(system.python), "-m", "loadtests.bench.tasks.send", system.module),
        *map(str, arguments),
        env=system.environment,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the sender of {system.name} failed")
    return json.loads(output)


async def _stamps(told: redis.Redis, count: int) -> dict[int, float]:
    async with asyncio.timeout(STAMP_SECONDS):
        while told.llen(stamps.KEY) < count:  # noqa: ASYNC110  of another process
            await asyncio.sleep(0.1)
    pairs = (line.split() for line in told.lrange(stamps.KEY, 0, -1))
    return {int(number): float(at) for number, at in pairs}


@asynccontextmanager
async def working(system: System) -> AsyncIterator[int]:
    """Run the system's worker, logging to a file as in production; yield its main process."""
    log = os.environ.get("BENCH_LOG", os.devnull)
    with open(log, "ab") as output:  # noqa: ASYNC230, PTH123  nothing else runs yet
        process = await asyncio.create_subprocess_exec(
            *(str(system.python), *system.worker),
            env=system.environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
