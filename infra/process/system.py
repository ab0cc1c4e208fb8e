"""Requests to the operating system: end with the parent, lower priority, return memory."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
# About a third of the processor time of a process with niceness 0.
NICENESS = 5
AUTOGROUP = Path("/proc/self/autogroup")
# Constants of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# Allocations from this size on are returned when freed; the heap keeps at most so much at its end.
MMAP_THRESHOLD_BYTES, TRIM_THRESHOLD_BYTES = 1 << 20, 2 << 20


def die_with_parent(signum: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Request a signal for the end of the parent, even by SIGKILL; a no-op except on Linux.

    Call it after a change of user, which clears the request. If `parent` has already ended, this
    process gets the signal now.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl(PR_SET_PDEATHSIG)")
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signum)


def lower_priority() -> None:
    """Lower the priority of this process, in favour of requests on the same machine.

    Linux may divide the processor among sessions first (sched_autogroup, see sched(7)). If the
    session belongs to this process or its parent, and so to no terminal, its priority is lowered.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    if os.getsid(0) in {os.getpid(), os.getppid()}:
        with suppress(OSError):  # the file is missing or read-only
            AUTOGROUP.write_text(str(NICENESS), encoding="ascii")


def tune_malloc() -> None:
    """Return large allocations to the system when they are freed; a no-op without glibc.

    By default glibc raises its threshold with each large allocation that is freed (mallopt(3)) and
    keeps the next one of that size in the heap, where later allocations pin it.
    """
    with suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
