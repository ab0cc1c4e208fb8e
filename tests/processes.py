"""Processes that come and go while a test looks at them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]


def commands_of(
    parent: psutil.Process, *, recursive: bool = False
) -> dict[psutil.Process, list[str]]:
    """Return the children that have not ended, each with its command line."""
    commands = {}
    for child in parent.children(recursive=recursive):
        try:
            commands[child] = child.cmdline()
        except psutil.Error:
            continue
    return commands


def session_niceness(pid: int) -> int | None:
    """Return how nice a process's session is; None where there is no such thing."""
    with suppress(FileNotFoundError):
        told = Path(f"/proc/{pid}/autogroup").read_text(encoding="ascii")
        return int(told.rpartition(" ")[2])
    return None
