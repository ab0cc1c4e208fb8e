"""Tasks with a countable effect, some of which die on the way in different manners."""

import asyncio
import os
import resource
import signal
import time
from pathlib import Path
from uuid import UUID

from fault_effects import EFFECTS, TICK, TICKING, body, meet, until_released
from tortoise.connection import get_connections

from infra.queue.errors import Snooze
from tasks.registry import PermanentError, TaskContext, task
from tasks.threads import ThreadTaskContext

SNOOZES = 4
MEGABYTE = 1 << 20


@task("fault.effect", max_attempts=20, timeout=60)
async def effect(context: TaskContext, seconds: float = 0, slow_attempts: int = 1) -> None:
    """Put an object and insert a row; the first attempts are slow."""
    meet("in work", context.id)
    await asyncio.sleep(seconds if context.attempt <= slow_attempts else 0)
    await context.storage.put(f"{EFFECTS}{context.id}", body(context.id), "text/plain")
    meet("after the put", context.id)
    async with context.finishing():
        await _insert(context.id, context.attempt)
        meet("before the commit", context.id)
    meet("after the commit", context.id)


@task(TICK, max_attempts=20, every=1 if TICKING in os.environ else None)
async def tick(context: TaskContext) -> None:
    """Have the effect once a second."""
    await effect(context)


@task("fault.limited", queue="limited", max_attempts=20, timeout=60)
async def limited(context: TaskContext, seconds: float = 0, slow_attempts: int = 1) -> None:
    """Have the effect, in a queue that tests limit."""
    await effect(context, seconds, slow_attempts)


@task("fault.beside", max_attempts=20, timeout=60, concurrency_per_process=10)
async def beside(context: TaskContext, seconds: float = 0, slow_attempts: int = 1) -> None:
    """Have the effect, ten at a time in a process, when tasks are not held."""
    if context.attempt <= slow_attempts:
        await until_released()
    await effect(context, seconds, slow_attempts)


@task("fault.holding", max_attempts=20, concurrency_per_process=10)
async def holding(context: TaskContext) -> None:
    """Hold a transaction open while tasks are held."""
    async with context.finishing():
        await get_connections().get("default").execute_query("SELECT 1")
        await until_released()


@task("fault.snoozing", max_attempts=2)
async def snoozing(context: TaskContext) -> None:
    """Snooze more often than there are attempts, then have the effect."""
    if context.attempt <= SNOOZES:
        meet("in work", context.id)
        raise Snooze(0.1)
    await effect(context)


@task("fault.member", max_attempts=20)
async def member(context: TaskContext, *, fails: bool, number: int = 0) -> None:
    """Insert a row and hand it on, or fail for good."""
    meet("in work", context.id)
    if fails:
        raise PermanentError
    context.set_result(str(context.id))
    async with context.finishing():
        await _insert(context.id, context.attempt)
    meet("after the commit", context.id)


@task("fault.callback", max_attempts=20)
async def callback(context: TaskContext) -> None:
    """Insert a row, if all tasks of the batch have ended and handed on their results."""
    meet("in work", context.id)
    for each in (await context.predecessors()).values():
        handed_on = each.result if each.state == "succeeded" else None
        if (each.state, handed_on) not in {("succeeded", str(each.id)), ("failed", None)}:
            raise PermanentError(f"{each.id} is {each.state}")
    async with context.finishing():
        await _insert(context.id, context.attempt)
    meet("after the commit", context.id)


@task("fault.blocking", max_attempts=20)
async def blocking(context: TaskContext, seconds: float) -> None:
    """Block the event loop for longer than a lease, then have the effect."""
    time.sleep(seconds)  # noqa: ASYNC251  that is the fault
    await effect(context)


@task("fault.plain", max_attempts=20)
def plain(context: ThreadTaskContext, seconds: float = 0, slow_attempts: int = 1) -> None:
    """Put an object and insert a row from a thread; the first attempts are slow."""
    meet("in work", context.id)
    time.sleep(seconds if context.attempt <= slow_attempts else 0)
    context.run(context.storage.put, f"{EFFECTS}{context.id}", body(context.id), "text/plain")
    meet("after the put", context.id)
    with context.finishing():
        context.run(_insert, context.id, context.attempt)
        meet("before the commit", context.id)
    meet("after the commit", context.id)


if os.environ.get("FAULT_RELEASE") == "old":

    @task("fault.versioned", max_attempts=20)
    async def versioned(context: TaskContext, seconds: float) -> None:
        """Have the effect, in the first version."""
        await effect(context, seconds)

else:

    @task(
        "fault.versioned",
        max_attempts=20,
        version=2,
        upgrade={1: lambda args: {"milliseconds": round(args["seconds"] * 1000)}},
    )
    async def versioned(context: TaskContext, milliseconds: int) -> None:
        """Have the effect, in the second version."""
        await effect(context, milliseconds / 1000)


async def _insert(task_id: UUID, attempt: int) -> None:
    connection = get_connections().get("default")
    await connection.execute_query("INSERT INTO effects VALUES ($1, $2)", [task_id, attempt])


@task("fault.apart", queue="apart")
async def apart(context: TaskContext) -> None:
    """Do nothing, in a queue of its own."""


@task("fault.poison", max_attempts=2)
async def poison(context: TaskContext) -> None:
    """Kill the process at every attempt."""
    os._exit(1)


@task("fault.hungry", max_attempts=2)
async def hungry(context: TaskContext) -> None:
    """Get killed by the kernel for using too much memory; without a control group, imitate it."""
    if group := os.environ.get("FAULT_CGROUP"):
        _enter(group)
        eaten = [os.urandom(MEGABYTE) for _ in range(300)]
        raise AssertionError(f"{len(eaten)} MB and still alive")
    os.kill(os.getpid(), signal.SIGKILL)


def _enter(group: str) -> None:
    Path(group, "cgroup.procs").write_text(str(os.getpid()))


@task("fault.greedy", max_attempts=2)
async def greedy(context: TaskContext) -> None:
    """Allocate more memory than the process's limit."""
    limit = _size() + 64 * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    eaten = []
    while True:
        eaten.append(bytearray(MEGABYTE))


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@task("fault.hung", max_attempts=2, timeout=1)
async def hung(context: TaskContext) -> None:
    """Block the event loop, so that only the hard time limit ends it."""
    time.sleep(3600)  # noqa: ASYNC251  that is the fault


@task("fault.stuck", max_attempts=2, timeout=1)
def stuck(context: ThreadTaskContext) -> None:
    """Block a thread for ever, so that only the end of the process stops it."""
    time.sleep(3600)


@task("fault.refused")
async def refused(context: TaskContext) -> None:
    """Raise a permanent error."""
    raise PermanentError
