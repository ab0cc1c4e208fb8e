"""Watches the service while it is under load: its metrics, its processes' memory and CPU."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from loadtests.load.exposition import Reading, origin_of_metrics

READ_EVERY_SECONDS = 5.0
TIMEOUT_SECONDS = 10.0
SERVICE_PARTS = ("api", "worker")
# Processor time that other guests of the host took.
STOLEN = "stolen by the host"
# Servers by their program; what Python runs, by its arguments.
_PROGRAMS = {
    "postgres": "PostgreSQL",
    "valkey-server": "Redis",
    "redis-server": "Redis",
    "weed": "S3",
}
_ARGUMENTS = {
    "-m cli api": "api",
    "-m cli worker": "worker",
    "-m cli flower": "Flower",
    "-m locust": "Locust",
}


@dataclass
class Sample:
    """One sample: seconds since the start, memory and CPU seconds by part."""

    second: float
    memory: dict[str, int]
    cpu: dict[str, float]

    def cores_since(self, earlier: Self) -> dict[str, float]:
        """Return the cores that each part has used since another sample, the most first."""
        seconds = self.second - earlier.second
        used = {part: (n - earlier.cpu.get(part, 0)) / seconds for part, n in self.cpu.items()}
        return dict(sorted(used.items(), key=lambda item: -item[1]))


@dataclass
class Watch:
    """Samples every few seconds in a thread; `roots` are the processes whose trees it samples."""

    base_url: str
    start: float
    roots: tuple[int, ...]
    readings: list[tuple[float, Reading]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start sampling."""
        self._stop = Event()
        self._parts: dict[int, str] = {}
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Sample a last time and stop."""
        self._stop.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while True:
            self._look()
            # On round seconds of the shape's clock: a warm-up ends on one.
            second = time.monotonic() - self.start
            if self._stop.wait(READ_EVERY_SECONDS - second % READ_EVERY_SECONDS):
                return

    def _look(self) -> None:
        second = time.monotonic() - self.start
        self.samples.append(self._sample(second))
        try:
            url = f"{origin_of_metrics(self.base_url)}/metrics"
            with urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  http only
                self.readings.append((second, Reading.of(answer.read().decode())))
        except (URLError, TimeoutError, ValueError):
            return  # without a reading; Locust counts failed requests

    def _sample(self, second: float) -> Sample:
        memory: dict[str, int] = defaultdict(int)
        cpu: dict[str, float] = defaultdict(float)
        for process in self._processes():
            try:
                part = self._part(process)
                memory[part] += process.memory_info().rss
                times = process.cpu_times()
                cpu[part] += times.user + times.system
            except psutil.Error:
                continue  # it has just ended
        cpu[STOLEN] = getattr(psutil.cpu_times(), "steal", 0.0)
        return Sample(second, dict(memory), dict(cpu))

    def _processes(self) -> list[psutil.Process]:
        found = []
        for root in self.roots:
            try:
                process = psutil.Process(root)
                found += [process, *process.children(recursive=True)]
            except psutil.Error:
                continue
        return found

    def _part(self, process: psutil.Process) -> str:
        known = self._parts.get(process.pid)
        if known is None:
            parent = self._parts.get(process.ppid(), "other")
            known = self._parts[process.pid] = part_of(process.cmdline(), parent)
        return known

    def readings_between(self, start: float, end: float) -> list[Reading]:
        """Return what /metrics said from the last look before these seconds to the last in them."""
        before = [each for each in self.readings if each[0] <= start + 1][-1:]
        inside = [each for each in self.readings if start + 1 < each[0] <= end + 2]
        return [reading for _, reading in before + inside]

    def cores_between(self, start: float, end: float) -> dict[str, float]:
        """Return how many cores each part has used on average."""
        inside = [each for each in self.samples if start <= each.second <= end]
        if len(inside) < 2:  # noqa: PLR2004  an interval has two ends
            return {}
        return inside[-1].cores_since(inside[0])

    def busiest_between(self, start: float, end: float) -> dict[str, float]:
        """Return the same of the two looks between which most cores were used."""
        inside = [each for each in self.samples if start <= each.second <= end]
        between = [later.cores_since(earlier) for earlier, later in pairwise(inside)]
        return max(between, key=lambda each: sum(each.values()), default={})

    def memory_growth(self, start: float, end: float) -> dict[str, tuple[float, float]]:
        """Return each part's megabytes in the first and in the last tenth of these seconds."""
        tenth = max((end - start) / 10, 2 * READ_EVERY_SECONDS)
        return _paired(self._megabytes(start, start + tenth), self._megabytes(end - tenth, end))

    def _megabytes(self, start: float, end: float) -> Mapping[str, float]:
        inside = [each.memory for each in self.samples if start <= each.second <= end]
        parts = {part for each in inside for part in each}
        return {part: median(each.get(part, 0) for each in inside) / 1e6 for part in parts}


def part_of(command: list[str], parent: str) -> str:
    """Return the part of the service of a process, or else of its parent."""
    # Servers add to it what they do, "postgres: checkpointer", or where, "valkey-server *:6379".
    program = Path(command[0].partition(":")[0]).name.partition(" ")[0] if command else ""
    arguments = " ".join(command[1:])
    named = (part for words, part in _ARGUMENTS.items() if words in arguments)
    return _PROGRAMS.get(program) or next(named, parent)


def _paired(
    first: Mapping[str, float], last: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    return {part: (first[part], last[part]) for part in sorted(first.keys() & last.keys())}


def growth(memory: Mapping[str, tuple[float, float]]) -> float | None:
    """Return by what share the API and the workers together grew; None where they are not seen."""
    if not set(SERVICE_PARTS) <= memory.keys():
        return None
    first = sum(memory[part][0] for part in SERVICE_PARTS)
    return sum(memory[part][1] for part in SERVICE_PARTS) / first - 1
