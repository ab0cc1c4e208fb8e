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
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)

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


def flush() -> None:
    """Bring the histogram up to date: a write to its file a bucket, not one a request."""
    for answers in _answers.values():
        if answers.seconds:
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
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    registry.register(_Gauges(gauges))
    return generate_latest(registry)


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
