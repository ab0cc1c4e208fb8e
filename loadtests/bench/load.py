"""One measurement: load on an address for some seconds, and who used the processor meanwhile."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

LUA = Path(__file__).parent / "load.lua"
WRK = shutil.which("wrk")
GENERATOR = "wrk" if WRK else "our own generator in Python"
THREADS = 1
GENERATOR_NAME = "load"


@dataclass(frozen=True)
class Target:
    """What is asked: an address, headers, and the words of `load.lua`."""

    url: str
    headers: tuple[str, ...] = ()
    mode: tuple[str, ...] = ("get",)
    connections: int = 64


@dataclass(frozen=True)
class Figures:
    """Requests a second answered rightly, milliseconds, errors, and cores used by each group."""

    rps: float
    p50: float
    p95: float
    p99: float
    errors: int
    cores: dict[str, float]


async def measure(target: Target, seconds: float, groups: Mapping[str, int]) -> Figures:
    """Load the target; `groups` names the first process of each group that may be at work."""
    process = await asyncio.create_subprocess_exec(
        *_command(target, seconds), stdout=asyncio.subprocess.PIPE
    )
    everyone = {**groups, GENERATOR_NAME: process.pid}
    before = {name: _seconds_used(pid) for name, pid in everyone.items()}
    reading = asyncio.create_task(process.communicate())
    # The generator's own use is read while it lives: a moment before its end.
    await asyncio.wait({reading}, timeout=max(0.2, seconds - 0.3))
    used = {name: _seconds_used(pid) - before[name] for name, pid in everyone.items()}
    output, _ = await reading
    if process.returncode != 0:
        raise SystemExit(f"the load on {target.url} failed")
    found = json.loads(output.decode().strip().splitlines()[-1])
    window = max(0.2, seconds - 0.3)
    return Figures(
        rps=answered_rightly(found) / found["seconds"],
        p50=found["p50"],
        p95=found["p95"],
        p99=found["p99"],
        errors=found["errors"],
        cores={name: round(each / window, 3) for name, each in used.items()},
    )


def answered_rightly(found: Mapping[str, float]) -> float:
    """Return the requests without those that failed: what is refused at once is fast."""
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
