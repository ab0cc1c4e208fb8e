"""Processes that start and end while a test inspects them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

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


def connections_of(processes: Iterable[psutil.Process]) -> dict[psutil.Process, list[Any]]:
    """Return the processes that have not ended, each with its connections over IP."""
    found = {}
    for process in processes:
        with suppress(psutil.Error):
            found[process] = process.net_connections()
    return found


def peaks_of(processes: Iterable[psutil.Process]) -> dict[int, int]:
    """Return the most memory in bytes that each process has had, of those that have not ended."""
    peaks = {}
    for process in processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            for line in status.splitlines():
                if line.startswith("VmHWM"):  # a zombie has none
                    peaks[process.pid] = int(line.split()[1]) * 1024
    return peaks


def is_over(process: psutil.Process) -> bool:
    """Return whether it has ended, even if its parent has not waited for it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def session_niceness(pid: int) -> int | None:
    """Return the autogroup niceness of a process's session; None if the kernel has none."""
    with suppress(FileNotFoundError):
        told = Path(f"/proc/{pid}/autogroup").read_text(encoding="ascii")
        return int(told.rpartition(" ")[2])
    return None
