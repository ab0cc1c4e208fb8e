"""A control group in which the kernel kills a process that uses too much memory."""

import os
from contextlib import suppress
from pathlib import Path

LIMIT = 64 << 20
# Of control groups version 1 and version 2.
PLACES = (("memory", "memory.limit_in_bytes"), ("", "memory.max"))


def make_memory_cgroup() -> Path | None:
    """Create the group; return None without the permission."""
    for root, limit in PLACES:
        group = Path("/sys/fs/cgroup", root, f"fault-{os.getpid()}")
        with suppress(OSError):
            group.mkdir()
        if (group / limit).exists():
            (group / limit).write_text(str(LIMIT))
            return group
        with suppress(OSError):
            group.rmdir()
    return None
