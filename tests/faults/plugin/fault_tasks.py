"""Tasks that leave a countable effect, and some that die on the way; each in its own fashion."""

import asyncio
import os
import signal
import time

from tortoise.connection import get_connections

from tasks.registry import TaskContext, task

EFFECTS = "effects/"


def _die(context: TaskContext, here: str, wanted: str) -> None:
    if here == wanted and context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@task("fault.effect", max_attempts=20, timeout=60)
async def effect(context: TaskContext, seconds: float = 0.0, die: str = "") -> None:
    """Put an object and insert a row; die at the named place of the first attempt."""
    _die(context, "in work", die)
    # Long in its first attempt only, for the test of a worker that is told to stop.
    await asyncio.sleep(seconds if seconds < 1 or context.attempt == 1 else 0)
    await context.storage.put(f"{EFFECTS}{context.id}", b"done", "text/plain")
    _die(context, "after the put", die)
    async with context.finishing():
        await (
            get_connections()
            .get("default")
            .execute_query("INSERT INTO effects (task_id) VALUES ($1)", [context.id])
        )
    _die(context, "after the commit", die)


@task("fault.poison", max_attempts=3)
async def poison(context: TaskContext) -> None:
    """End the process without a word, every time."""
    os._exit(1)


@task("fault.hungry", max_attempts=3)
async def hungry(context: TaskContext) -> None:
    """Die as one does who meets the kernel's limit of memory, every time."""
    os.kill(os.getpid(), signal.SIGKILL)


@task("fault.hung", max_attempts=2, timeout=1)
async def hung(context: TaskContext) -> None:
    """Block the event loop, so that only the hard limit helps."""
    time.sleep(3600)  # noqa: ASYNC251  that is the fault
