"""One measurement: load on an address for some seconds, and the processor time of each group."""

import asyncio
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

LUA = Path(__file__).parent / "load.lua"
WRK = shutil.which("wrk")
GENERATOR = "wrk" if WRK else "our own generator in Python"
THREADS = 1
GENERATOR_NAME = "load"


@dataclass(frozen=True)
class Target:
    """The load: an address, headers, and the arguments of `load.lua`.

    With `cores` each of them runs a load of so many connections.
    """

    url: str
    headers: tuple[str, ...] = ()
    mode: tuple[str, ...] = ("get",)
    connections: int = 64
    cores: tuple[int, ...] = ()


@dataclass(frozen=True)
class Figures:
    """Successful requests a second, milliseconds, errors, and cores used by each group.

    All connections open at once, so the `longest` response is usually of the one accepted last.
    """

    rps: float
    p50: float
    p95: float
    p99: float
    longest: float
    errors: int
    cores: dict[str, float]


async def measure(target: Target, seconds: float, groups: Mapping[str, int]) -> Figures:
    """Load the target; `groups` names the first process of each group of processes."""
    processes = [
        await asyncio.create_subprocess_exec(
            *_command(target, seconds),
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=partial(os.sched_setaffinity, 0, {core}) if core is not None else None,
        )
        for core in target.cores or (None,)
    ]
    everyone: dict[str, tuple[int, ...]] = {name: (pid,) for name, pid in groups.items()}
    everyone[GENERATOR_NAME] = tuple(process.pid for process in processes)
    before = {name: sum(map(_seconds_used, pids)) for name, pids in everyone.items()}
    reading = asyncio.gather(*(process.communicate() for process in processes))
    # The generator's own use is read a moment before it ends.
    await asyncio.wait({reading}, timeout=max(0.2, seconds - 0.3))
    used = {name: sum(map(_seconds_used, pids)) - before[name] for name, pids in everyone.items()}
    outputs = [output.decode() for output, _ in await reading]
    if any(process.returncode != 0 for process in processes):
        raise SystemExit(f"the load on {target.url} failed")
    window = max(0.2, seconds - 0.3)
    cores = {name: round(each / window, 3) for name, each in used.items()}
    return together([json.loads(output.strip().splitlines()[-1]) for output in outputs], cores)


def together(found: Sequence[Mapping[str, Any]], cores: dict[str, float]) -> Figures:
    """Return the figures of several loads: sums of rates, the median P50, the worst percentiles."""
    return Figures(
        rps=sum(answered_rightly(each) / each["seconds"] for each in found),
        p50=statistics.median(each["p50"] for each in found),
        p95=max(each["p95"] for each in found),
        p99=max(each["p99"] for each in found),
        longest=max(each["longest"] for each in found),
        errors=sum(each["errors"] for each in found),
        cores=cores,
    )


def answered_rightly(found: Mapping[str, float]) -> float:
    """Return the requests without those that failed: a refusal is fast."""
    return max(0, found["requests"] - found["errors"])


def _command(target: Target, seconds: float) -> list[str]:
    headers = [word for line in target.headers for word in ("--header", line)]
    if WRK is None:
        return [
            *(sys.executable, "-m", "loadtests.bench.generator"),
            *(target.url, str(target.connections), str(seconds), *headers, *target.mode),
        ]
    return [
        *(WRK, f"--threads={THREADS}", f"--connections={target.connections}"),
        *(f"--duration={max(1, round(seconds))}s", *headers, f"--script={LUA}"),
        *(target.url, "--", *target.mode),
    ]


def _seconds_used(pid: int) -> float:
    """Return the processor seconds of a process and those it has started."""
    total = 0.0
    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return total
    for one in family:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
