"""Whose processor time a task costs: of the worker's main process, its children, the servers."""

from contextlib import suppress

import psutil

PARTS = ("worker, main", "worker, children", "PostgreSQL", "broker")
SERVERS = {"postgres": "PostgreSQL", "valkey-server": "broker", "redis-server": "broker"}


def seconds(worker: int) -> dict[str, float]:
    """Return the processor time used so far by each part; `worker` is its main process."""
    used = dict.fromkeys(PARTS, 0.0)
    own = psutil.Process(worker)
    children = {each.pid for each in own.children(recursive=True)}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            part = SERVERS.get(process.name().partition(":")[0])
            if process.pid == worker:
                part = "worker, main"
            elif process.pid in children:
                part = "worker, children"
            if part:
                times = process.cpu_times()
                used[part] += times.user + times.system
    return used
