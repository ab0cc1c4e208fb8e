"""Tasks that leave a countable effect, and some that die on the way; each in its own fashion."""

import asyncio
import os
import resource
import signal
import time
from pathlib import Path
from uuid import UUID

from fault_effects import EFFECTS, body, meet
from tortoise.connection import get_connections

from tasks.registry import PermanentError, TaskContext, task
from tasks.threads import ThreadTaskContext

MEGABYTE = 1 << 20


@task("fault.effect", max_attempts=20, timeout=60)
async def effect(context: TaskContext, seconds: float = 0, slow_attempts: int = 1) -> None:
    """Put an object and insert a row; the first attempt, or some, take their time."""
    meet("in work", context.id)
    await asyncio.sleep(seconds if context.attempt <= slow_attempts else 0)
    await context.storage.put(f"{EFFECTS}{context.id}", body(context.id), "text/plain")
    meet("after the put", context.id)
    async with context.finishing():
        await _insert(context.id, context.attempt)
    meet("after the commit", context.id)


@task("fault.blocking", max_attempts=20)
async def blocking(context: TaskContext, seconds: float) -> None:
    """Block the event loop for longer than a lease, then leave its effect."""
    time.sleep(seconds)  # noqa: ASYNC251  that is the fault
    await effect(context)


@task("fault.plain", max_attempts=20)
def plain(context: ThreadTaskContext, seconds: float) -> None:
    """Take longer than a lease in a thread, then leave its effect."""
    time.sleep(seconds)
    context.run(context.storage.put, f"{EFFECTS}{context.id}", body(context.id), "text/plain")
    context.finish_with(_insert, context.id, context.attempt)


async def _insert(task_id: UUID, attempt: int) -> None:
    connection = get_connections().get("default")
    await connection.execute_query("INSERT INTO effects VALUES ($1, $2)", [task_id, attempt])


@task("fault.apart", queue="apart")
async def apart(context: TaskContext) -> None:
    """Do nothing, in a queue of its own."""


@task("fault.poison", max_attempts=2)
async def poison(context: TaskContext) -> None:
    """End the process without a word, every time."""
    os._exit(1)


@task("fault.hungry", max_attempts=2)
async def hungry(context: TaskContext) -> None:
    """Be killed by the kernel for its memory, or, where that can't be had, as if by it."""
    if group := os.environ.get("FAULT_CGROUP"):
        _enter(group)
        eaten = [os.urandom(MEGABYTE) for _ in range(300)]
        raise AssertionError(f"{len(eaten)} MB and still alive")
    os.kill(os.getpid(), signal.SIGKILL)


def _enter(group: str) -> None:
    Path(group, "cgroup.procs").write_text(str(os.getpid()))


@task("fault.greedy", max_attempts=2)
async def greedy(context: TaskContext) -> None:
    """Ask for more memory than the process may have, which stays short of it."""
    limit = _size() + 64 * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    eaten = []
    while True:
        eaten.append(bytearray(MEGABYTE))


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@task("fault.hung", max_attempts=2, timeout=1)
async def hung(context: TaskContext) -> None:
    """Block the event loop, so that only the hard limit helps."""
    time.sleep(3600)  # noqa: ASYNC251  that is the fault


@task("fault.stuck", max_attempts=2, timeout=1)
def stuck(context: ThreadTaskContext) -> None:
    """Never return from a thread, which only the end of its process stops."""
    time.sleep(3600)


@task("fault.refused")
async def refused(context: TaskContext) -> None:
    """Say that trying again is no use."""
    raise PermanentError
