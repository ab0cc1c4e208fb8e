"""The `process_*` metrics of an instance's processes, summed by role."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

CPU, START = "process_cpu_seconds", "process_start_time_seconds"
NAMES = (
    *(CPU, START, "process_resident_memory_bytes", "process_virtual_memory_bytes"),
    *("process_open_fds", "process_max_fds"),
)
PARENT, METRICS = "parent", "metrics"
PROC = Path("/proc")


class Processes:
    """A collector of the parent, this process and the parent's other children.

    Each figure is the sum over the processes of a role, and the start the latest one. The processor
    time of ended processes stays in the sum, so that it never falls.
    """

    def __init__(self, parent: int, role_of_others: str) -> None:
        self._parent = parent
        self._role_of_others = role_of_others
        self._ended: defaultdict[str, float] = defaultdict(float)
        # The processor time at the last scrape, by process and start.
        self._running: dict[tuple[str, int, float], float] = {}

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of the exposition; none on a system without /proc."""
        sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        texts: dict[str, str] = {}
        running: dict[tuple[str, int, float], float] = {}
        for pid, role in self._roles().items():
            families = _families(pid)
            figures = {each.name: each.samples[0].value for each in families}
            if START not in figures:
                continue  # it has ended meanwhile
            texts |= {each.name: each.documentation for each in families}
            start = sums[START][role]
            for name, figure in figures.items():
                sums[name][role] += figure
            sums[START][role] = max(start, figures[START])
            running[role, pid, figures[START]] = figures[CPU]
        for ended in self._running.keys() - running.keys():
            self._ended[ended[0]] += self._running[ended]
        self._running = running
        for role, seconds in self._ended.items():
            sums[CPU][role] += seconds
        for name, text in texts.items():
            kind = CounterMetricFamily if name == CPU else GaugeMetricFamily
            family = kind(name, f"{text} Summed by role.", labels=["role"])
            for role, figure in sums[name].items():
                family.add_metric([role], figure)
            yield family

    def _roles(self) -> dict[int, str]:
        own = {self._parent: PARENT, os.getpid(): METRICS}
        return dict.fromkeys(_children(self._parent), self._role_of_others) | own


def _families(pid: int) -> list[Metric]:
    return list(ProcessCollector(pid=lambda: pid, registry=None).collect())


def _children(parent: int) -> set[int]:
    """Return the processes whose parent it is; not every kernel has a list of them."""
    return {int(stat.parent.name) for stat in PROC.glob("[0-9]*/stat") if _parent(stat) == parent}


def _parent(stat: Path) -> int | None:
    try:
        # The name before the last bracket may have blanks.
        return int(stat.read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None  # the process has ended
