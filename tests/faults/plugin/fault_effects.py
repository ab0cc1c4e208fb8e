"""What the faulty tasks do that the tests know of: their objects, and where they are to die."""

import os
import signal
import time
from pathlib import Path
from uuid import UUID

EFFECTS = "effects/"
# What a worker writes of a message whose task is not to be had: this, the task's state, its id.
REFUSED = "claim refused:"
PLACES = ("before the claim", "in work", "after the put", "after the commit")


def body(task_id: object) -> bytes:
    """Return what a task's object holds: long enough that half of it is seen to be half."""
    return str(task_id).encode() * 200


def meet(place: str, task_id: UUID) -> None:
    """Die here, once, if a note is there for this task; it says who is to die."""
    note = Path(os.environ["FAULT_NOTES"], place, str(task_id))
    try:
        victim = note.read_text()
        note.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid() if victim == "child" else os.getppid(), signal.SIGKILL)
    time.sleep(10)  # Until the kernel has seen that the parent is gone.
