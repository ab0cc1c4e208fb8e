"""What a process asks of its system: to end with its parent, its share of it, no more memory."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
# A third of what others of the same machine get, while they want it.
NICENESS = 5
AUTOGROUP = Path("/proc/self/autogroup")
# Of malloc.h; how large a piece has to be to be given back as soon as it is freed, and how much
# more may be kept at the end of the heap.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE, SPARE = 1 << 20, 2 << 20


def die_with_parent(signum: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel for a signal when the parent ends, even by SIGKILL; no-op off Linux.

    Call it after a change of user, which clears the wish. A `parent` who is already gone, and
    so will never be seen to end, counts as one that ends now.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl(PR_SET_PDEATHSIG)")
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signum)


def be_nice() -> None:
    """Leave the processor to those of the same machine for whom somebody waits.

    Linux may share it among sessions first (sched_autogroup, see sched(7)): where the session is
    this process's or its parent's, and so no terminal's, all of it steps back.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    if os.getsid(0) in {os.getpid(), os.getppid()}:
        with suppress(OSError):  # there is no such file, or it may not be written
            AUTOGROUP.write_text(str(NICENESS), encoding="ascii")


def tune_malloc() -> None:
    """Have what was large given back as soon as it is freed; no-op without glibc.

    glibc learns from each large piece that is freed to keep the next of that size in the heap (the
    dynamic threshold of mallopt(3)): what came after it then pins it for ever.
    """
    with suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(M_TRIM_THRESHOLD, SPARE)
