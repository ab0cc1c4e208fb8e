"""What Prometheus reads: one answer for all processes of an instance."""

import os
import shutil
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client import Gauge as Level
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = CONTENT_TYPE_LATEST

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Cached reads take less than a tenth of a millisecond.
_BUCKETS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0),
)

_requests = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to its answer.",
    ["method", "route", "status"],
    buckets=_BUCKETS,
)
_refusals = Counter("rate_limit_refusals_total", "Requests answered with 429.", ["kind"])
_limits_alone = Counter(
    "rate_limit_alone_total", "Questions to the limits that a process answered without Redis."
)
_cache_requests = Counter(
    "cache_requests_total", "Cached reads, by where the answer came from.", ["answer"]
)
_cache_errors = Counter("cache_errors_total", "Calls that the shared cache failed; reads went on.")
_cache_changes = Counter("cache_invalidations_total", "Changes announced to the cache.")
_cache_entries = Level("cache_entries", "Answers in memory.", multiprocess_mode="livesum")
_cache_bytes = Level("cache_bytes", "Memory that answers take.", multiprocess_mode="livesum")
_pool_size = Level(
    "database_pool_size", "Connections a process may have.", multiprocess_mode="livesum"
)
_pool_in_use = Level(
    "database_pool_in_use", "Connections that are at work.", multiprocess_mode="livesum"
)
_pool_waiting = Level(
    "database_pool_waiting", "Requests waiting for a connection.", multiprocess_mode="livesum"
)


def share_between_processes(folder: Path) -> None:
    """Let the processes started from now on count in files of a folder, emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ[_FOLDER_VARIABLE] = str(folder)


class _Answers:
    """Answers of one method, route and status that are not in the histogram yet."""

    __slots__ = ("buckets", "child", "seconds")

    def __init__(self, labels: tuple[str, str, int]) -> None:
        self.child = _requests.labels(*labels)
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0


_answers: dict[tuple[str, str, int], _Answers] = {}


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request; it is in the files of `share_between_processes` after `flush`."""
    labels = (method, route, status)
    answers = _answers.get(labels)
    if answers is None:
        answers = _answers[labels] = _Answers(labels)
    answers.buckets[bisect_left(_BUCKETS, seconds)] += 1
    answers.seconds += seconds


def count_cache(answers: Mapping[str, int], errors: int, changes: int) -> None:
    """Add what the cache did since this was told last; `answers` by where they came from."""
    for answer, number in answers.items():
        if number:
            _cache_requests.labels(answer).inc(number)
    if errors:
        _cache_errors.inc(errors)
    if changes:
        _cache_changes.inc(changes)


def show_cache(entries: int, size: int) -> None:
    """Show how full this process's memory is."""
    _cache_entries.set(entries)
    _cache_bytes.set(size)


def show_pool(size: int, in_use: int, waiting: int) -> None:
    """Show how this process's pool stands."""
    _pool_size.set(size)
    _pool_in_use.set(in_use)
    _pool_waiting.set(waiting)


def flush() -> None:
    """Bring the histogram up to date: a write to its file a bucket, not one a request."""
    for answers in _answers.values():
        if any(answers.buckets):
            # The histogram's own `observe` takes one value at a time.
            for number, count in enumerate(answers.buckets):
                if count:
                    answers.child._buckets[number].inc(count)  # noqa: SLF001
                    answers.buckets[number] = 0
            answers.child._sum.inc(answers.seconds)  # noqa: SLF001
            answers.seconds = 0.0


def count_refusal(kind: str) -> None:
    """Count a request that was over a limit of this kind."""
    _refusals.labels(kind).inc()


def count_limits_alone() -> None:
    """Count a question that Redis could not be asked."""
    _limits_alone.inc()


@dataclass(frozen=True)
class Gauge:
    """A figure read when it is asked for: `values` maps the labels' values to it."""

    name: str
    text: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], float]


def exposition(gauges: list[Gauge]) -> bytes:
    """Return the metrics of all processes, and the gauges."""
    flush()
    _forget_dead()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    registry.register(_Gauges(gauges))
    return generate_latest(registry)


def _forget_dead() -> None:
    """Drop the levels of processes that were killed: they can't do it themselves."""
    for file in Path(os.environ[_FOLDER_VARIABLE]).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)
        except PermissionError:
            continue


class _Gauges:
    def __init__(self, gauges: list[Gauge]) -> None:
        self._gauges = gauges

    def collect(self) -> list[Metric]:
        families: list[Metric] = []
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels)
            for labels, value in gauge.values.items():
                family.add_metric(labels, value)
            families.append(family)
        return families
