"""Processes that start and end while a test inspects them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
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


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Return every process that names the data folder or works in it."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join([*process.cmdline(), process.environ().get("DATA_DIR", "")])
            if str(data_dir) in f"{told} {process.cwd()}":
                found.append(process)
        except psutil.Error:
            continue
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


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a database and all its sessions for the duration of the block."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    for each in pids:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in pids:
            with suppress(ProcessLookupError):  # its parent has just reaped it
                os.kill(each, signal.SIGCONT)


async def pid_of_postgres(servers: Any) -> int:
    """Return the id of the main process of a database."""
    connection = await asyncpg.connect(servers.environment["DATABASE_URL"])
    folder = await connection.fetchval("SHOW data_directory")
    await connection.close()
    text = await asyncio.to_thread(Path(folder, "postmaster.pid").read_text)
    return int(text.splitlines()[0])
