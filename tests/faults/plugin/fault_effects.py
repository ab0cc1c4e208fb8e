"""The effects of the faulty tasks that tests check: their objects, and where they die."""

import asyncio
import os
import signal
import time
from pathlib import Path
from uuid import UUID

EFFECTS = "effects/"
# A worker logs this, the task's state and its id for a message whose claim is refused.
REFUSED = "claim refused:"
# This kind is enqueued once a second by workers that have the variable.
TICK, TICKING = "fault.tick", "FAULT_TICK"
HELD = "held"
PLACES = ("before the claim", "in work", "after the put", "before the commit", "after the commit")


def body(task_id: object) -> bytes:
    """Return the content of a task's object, long enough that a half is recognised."""
    return str(task_id).encode() * 200


def meet(place: str, task_id: UUID) -> None:
    """Die at this point, once, if a note for this task is there; the note names the process."""
    note = Path(os.environ["FAULT_NOTES"], place, str(task_id))
    try:
        victim = note.read_text()
        note.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid() if victim == "child" else os.getppid(), signal.SIGKILL)
    time.sleep(10)  # Until the kernel has noticed the parent's death.


async def until_released() -> None:
    """Wait while a note says that tasks are held."""
    note = Path(os.environ["FAULT_NOTES"], HELD)
    while await asyncio.to_thread(note.exists):  # noqa: ASYNC110  a test removes it
        await asyncio.sleep(0.05)
