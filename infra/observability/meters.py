"""Counters, gauges and histograms that all processes of an instance add to.

A process counts in its own memory and sends what changed to the process that answers Prometheus.
No file is involved, so that neither a full disk nor another instance can take the figures away.
"""

import os
import socket
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import ClassVar

import orjson
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

OTHER = "_OTHER"
# So a datagram stays far below what a socket takes at once.
SERIES_PER_MESSAGE = 50

Labels = tuple[str, ...]


class LabelValues:
    """The values that a label may have; any other is counted under `_OTHER`.

    Every value of every label passes through here, so that no client can make up series. The first
    `learned` values are added as they come, for names that an operator or the code chooses.
    """

    def __init__(self, *known: object, learned: int = 0) -> None:
        self._known = set(map(str, known))
        self._learnable = learned

    def add(self, *values: str) -> None:
        """Add values that are known only once the program has started."""
        self._known.update(values)

    def bound(self, value: object) -> str:
        """Return the value, or `_OTHER`."""
        text = str(value)
        if text not in self._known:
            if not self._learnable:
                return OTHER
            self._learnable -= 1
            self._known.add(text)
        return text


class Meter:
    """What one name of the exposition has in common for all label values."""

    declared: ClassVar[dict[str, "Meter"]] = {}

    def __init__(self, name: str, text: str, width: int, labels: Mapping[str, LabelValues]) -> None:
        if name in self.declared:
            message = f"the metric {name} is declared twice"
            raise ValueError(message)
        self.declared[name] = self
        self.name = name
        self.text = text
        self.width = width
        self.labels = labels
        # What was counted here and is not sent yet.
        self._unsent: dict[Labels, list[float]] = {}

    def _series(self, values: Labels) -> list[float]:
        found = self._unsent.get(values)
        return self._new_series(values) if found is None else found

    def _new_series(self, values: Labels) -> list[float]:
        pairs = zip(self.labels.values(), values, strict=True)
        bounded = tuple(allowed.bound(value) for allowed, value in pairs)
        return self._unsent.setdefault(bounded, [0] * self.width)

    def _changed(self) -> list[tuple[Labels, list[float]]]:
        return [(labels, series) for labels, series in self._unsent.items() if any(series)]

    def send(self, sender: socket.socket) -> None:
        """Send what changed; what raises `OSError` is sent with the next."""
        changed = self._changed()
        for first in range(0, len(changed), SERIES_PER_MESSAGE):
            part = changed[first : first + SERIES_PER_MESSAGE]
            sender.send(orjson.dumps((os.getpid(), self.name, part)))
            for labels, _ in part:
                self._sent(labels)

    def _sent(self, labels: Labels) -> None:
        self._unsent[labels][:] = [0] * self.width

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return what Prometheus is told."""
        raise NotImplementedError


class Counter(Meter):
    """A number that only grows."""

    def __init__(self, name: str, text: str, **labels: LabelValues) -> None:
        super().__init__(name, text, 1, labels)

    def inc(self, amount: float = 1, labels: Labels = ()) -> None:
        """Add to it."""
        self._series(labels)[0] += amount

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return what Prometheus is told."""
        family = CounterMetricFamily(self.name, self.text, labels=[*self.labels])
        for labels, [total] in totals.items():
            family.add_metric(labels, total)
        return family


class Gauge(Meter):
    """A level of each process; Prometheus is told the sum over those that live."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text, 1, {})

    def set(self, value: float) -> None:
        """Set this process's level; it is sent again, for a reader that was started again."""
        self._unsent[()] = [value]

    def _changed(self) -> list[tuple[Labels, list[float]]]:
        return [*self._unsent.items()]

    def _sent(self, labels: Labels) -> None:
        del self._unsent[labels]

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return what Prometheus is told."""
        family = GaugeMetricFamily(self.name, self.text)
        for labels, [total] in totals.items():
            family.add_metric(labels, total)
        return family


class Histogram(Meter):
    """How many observations were at most each of some bounds, and their sum."""

    def __init__(
        self, name: str, text: str, bounds: tuple[float, ...], **labels: LabelValues
    ) -> None:
        # A number a bound, one for what is over the last, and the sum.
        super().__init__(name, text, len(bounds) + 2, labels)
        self._bounds = bounds
        self._names = [*map(str, bounds), "+Inf"]

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count an observation."""
        series = self._series(labels)
        series[bisect_left(self._bounds, value)] += 1
        series[-1] += value

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return what Prometheus is told."""
        family = HistogramMetricFamily(self.name, self.text, labels=[*self.labels])
        for labels, [*counts, total] in totals.items():
            buckets = list(zip(self._names, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, sum_value=total)
        return family


class Totals:
    """What all processes of an instance have counted, as a collector of prometheus_client's."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[Labels, list[float]]] = {
            meter.name: {} if meter.labels else {(): [0] * meter.width}
            for meter in Meter.declared.values()
        }
        self._levels: dict[int, dict[str, list[float]]] = {}

    def add(self, message: bytes) -> None:
        """Add what a process has sent."""
        pid, name, part = orjson.loads(message)
        for labels, series in part:
            if isinstance(Meter.declared[name], Gauge):
                self._levels.setdefault(pid, {})[name] = series
                continue
            sums = self._sums[name].setdefault(tuple(labels), [0] * len(series))
            sums[:] = map(sum, zip(sums, series, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Return what Prometheus is told."""
        self._levels = {pid: each for pid, each in self._levels.items() if _is_alive(pid)}
        for name, meter in Meter.declared.items():
            totals = self._sums[name]
            if isinstance(meter, Gauge):
                levels = (each[name][0] for each in self._levels.values() if name in each)
                totals = {(): [sum(levels)]}
            yield meter.family(totals)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def channel() -> tuple[socket.socket, socket.socket]:
    """Return where the process that answers Prometheus receives, and where all others send.

    The sender never waits: what does not fit now is sent later, for it is not counted as sent.
    """
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for one in (receiver, sender):
        one.setblocking(False)  # noqa: FBT003  the standard library's signature
    return receiver, sender
