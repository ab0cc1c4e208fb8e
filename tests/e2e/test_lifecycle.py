"""A signal at any moment ends a command within its grace period; no process or file is left."""

import asyncio
import os
import random
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest

from deploy.embedded.ports import is_free
from infra.db.migrations import MIGRATION_LOCK
from tests.factories import eventually, free_ports

# LIFECYCLE_MOMENTS=30 takes some minutes.
MOMENTS = int(os.environ.get("LIFECYCLE_MOMENTS", "2"))
SEED = int(os.environ.get("LIFECYCLE_SEED", "0")) or secrets.randbelow(1 << 32)
AT_ONCE = 3
# A signal that ends the interpreter before it runs a line of ours.
INTERPRETER_START = "Failed to import the site module"
MARK = "LIFECYCLE_TEST_MARK"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class Command:
    """A long-running command: its arguments, the seconds in which it starts and runs, its grace."""

    arguments: tuple[str, ...]
    span_seconds: float
    grace_seconds: float


COMMANDS = {
    "api": Command(("-m", "cli", "api"), 6.0, 12.0),
    "worker": Command(("-m", "cli", "worker", "--concurrency=2"), 6.0, 13.0),
    "flower": Command(("-m", "cli", "flower"), 5.0, 5.0),
    "make run": Command(("-m", "deploy.embedded"), 14.0, 14.0),
}


def marked_processes(mark: str) -> list[psutil.Process]:
    """Return the living processes whose environment has the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def wait_until_gone(mark: str, seconds: float) -> list[psutil.Process]:
    """Wait until no process has the mark; return those that are left."""

    async def is_gone() -> bool:
        return not marked_processes(mark)

    with suppress(AssertionError):
        await eventually(is_gone, within=seconds)
    return marked_processes(mark)


async def run_and_signal(
    command: Command, folder: Path, environment: Mapping[str, str], moments: Mapping[float, int]
) -> str:
    """Start a command and send it signals at the given moments; return the faults as text."""
    mark = secrets.token_hex(8)
    (folder / "tmp").mkdir(parents=True)
    port, flower_port, metrics_port = ports = free_ports(3)
    own = {
        MARK: mark,
        "PORT": str(port),
        "FLOWER_PORT": str(flower_port),
        "METRICS_PORT": str(metrics_port),
        "DATA_DIR": str(folder / "data"),
        "DRAIN_SECONDS": "0",
        "TMPDIR": str(folder / "tmp"),
    }
    with (folder / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command.arguments),
            env=os.environ | environment | own,
            stdout=output,
            stderr=output,
            # The dispositions of signals that a shell on a terminal sets.
            preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in SIGNALS] and None,
        )
    past = 0.0
    for moment, signum in sorted(moments.items()):
        await asyncio.sleep(moment - past)
        past = moment
        if process.returncode is None:
            process.send_signal(signum)
    faults = []
    try:
        await asyncio.wait_for(process.wait(), command.grace_seconds)
    except TimeoutError:
        faults.append("does not end")
    if left := await wait_until_gone(mark, 2.0):
        faults.append(f"leaves {[' '.join(each.cmdline())[-90:] for each in left]}")
    for each in left:
        each.kill()
    await process.wait()
    faults += [f"holds port {number}" for number in ports if not is_free(number)]
    if files := list((folder / "tmp").rglob("*")):
        faults.append(f"leaves {files}")
    text = (folder / "output").read_text()
    logs = (folder / "data").glob("logs/*.log")
    whole = "\n".join([text, *(log.read_text(errors="replace") for log in logs)])
    _, found, trace = whole.partition("Traceback")
    if found and INTERPRETER_START not in whole:
        faults.append(trace[:3000])
    if not faults:
        return ""
    told = {moment: signal.Signals(signum).name for moment, signum in moments.items()}
    what = f"LIFECYCLE_SEED={SEED} {told}: exit code {process.returncode}"
    return "\n".join([what, *faults, text[-1500:]])


async def assert_ends_cleanly(
    name: str,
    folder: Path,
    environment: Mapping[str, str],
    moments: Callable[[random.Random], dict[float, int]],
) -> None:
    chance = random.Random(f"{SEED} {name}")
    slots = asyncio.Semaphore(AT_ONCE)

    async def once(number: int, chosen: dict[float, int]) -> str:
        async with slots:
            return await run_and_signal(
                COMMANDS[name], folder / f"{name}-{number}", environment, chosen
            )

    count = max(1, MOMENTS // 3) if name == "make run" and MOMENTS < 30 else MOMENTS
    chosen = [moments(chance) for _ in range(count)]
    faults = await asyncio.gather(*(once(*each) for each in enumerate(chosen)))
    assert not any(faults), "\n\n".join(filter(None, faults))


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_signal_at_any_moment_ends_the_command(service, tmp_path, name):
    environment = {} if name == "make run" else service.env

    def moments(chance: random.Random) -> dict[float, int]:
        return {chance.uniform(0, COMMANDS[name].span_seconds): chance.choice(SIGNALS)}

    await assert_ends_cleanly(name, tmp_path, environment, moments)
    if name == "api":
        assert await migration_lock_holders(service.env["DATABASE_URL"]) == 0


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_second_signal_during_shutdown_ends_the_command(service, tmp_path, name):
    environment = {} if name == "make run" else service.env

    def moments(chance: random.Random) -> dict[float, int]:
        first = chance.uniform(0, COMMANDS[name].span_seconds)
        return {
            first: chance.choice(SIGNALS),
            first + chance.uniform(0, 1.5): chance.choice(SIGNALS),
        }

    await assert_ends_cleanly(name, tmp_path, environment, moments)


async def migration_lock_holders(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(5):
            return await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1",
                MIGRATION_LOCK,
            )
    finally:
        await connection.close()
