"""Counters, gauges and histograms, summed over all processes of an instance.

A process counts in its own memory and sends changes to the process that serves Prometheus. No file
is involved, so a full disk or another instance can't affect the figures.
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
# A datagram stays far below the limit of a socket.
SERIES_PER_MESSAGE = 50

Labels = tuple[str, ...]


class LabelValues:
    """The values that a label may have; all others are counted under `_OTHER`.

    All label values are checked here, so that clients can't create series. The first `dynamic`
    unknown values are added, for names that an operator or the code chooses.
    """

    def __init__(self, *known: object, dynamic: int = 0) -> None:
        self._known = set(map(str, known))
        self._free_slots = dynamic

    def add(self, *values: str) -> None:
        """Add values that are known only after the start of the program."""
        self._known.update(values)

    def bound(self, value: object) -> str:
        """Return the value, or `_OTHER`."""
        text = str(value)
        if text not in self._known:
            if not self._free_slots:
                return OTHER
            self._free_slots -= 1
            self._known.add(text)
        return text


class Meter:
    """A metric: one name in the exposition, with series by label values."""

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
        # Counted here and not yet sent.
        self._unsent: dict[Labels, list[float]] = {}

    def _series(self, values: Labels) -> list[float]:
        series = self._unsent.get(values)
        return self._new_series(values) if series is None else series

    def _new_series(self, values: Labels) -> list[float]:
        pairs = zip(self.labels.values(), values, strict=True)
        bounded = tuple(allowed.bound(value) for allowed, value in pairs)
        return self._unsent.setdefault(bounded, [0] * self.width)

    def _changed(self) -> list[tuple[Labels, list[float]]]:
        return [(labels, series) for labels, series in self._unsent.items() if any(series)]

    def send(self, sender: socket.socket) -> None:
        """Send the changes; after an `OSError` the rest is sent the next time."""
        changed = self._changed()
        for first in range(0, len(changed), SERIES_PER_MESSAGE):
            part = changed[first : first + SERIES_PER_MESSAGE]
            sender.send(orjson.dumps((os.getpid(), self.name, part)))
            for labels, _ in part:
                self._mark_sent(labels)

    def _mark_sent(self, labels: Labels) -> None:
        self._unsent[labels][:] = [0] * self.width

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return the metric of the exposition."""
        raise NotImplementedError


class Counter(Meter):
    """A number that only grows."""

    def __init__(self, name: str, text: str, **labels: LabelValues) -> None:
        super().__init__(name, text, 1, labels)

    def inc(self, amount: float = 1, labels: Labels = ()) -> None:
        """Add to it."""
        self._series(labels)[0] += amount

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return the metric of the exposition."""
        family = CounterMetricFamily(self.name, self.text, labels=[*self.labels])
        for labels, [total] in totals.items():
            family.add_metric(labels, total)
        return family


class Gauge(Meter):
    """A level of each process; the exposition has the sum over running processes."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text, 1, {})

    def set(self, value: float) -> None:
        """Set this process's level; each call sends it again, for a restarted receiver."""
        self._unsent[()] = [value]

    def _changed(self) -> list[tuple[Labels, list[float]]]:
        return [*self._unsent.items()]

    def _mark_sent(self, labels: Labels) -> None:
        del self._unsent[labels]

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return the metric of the exposition."""
        family = GaugeMetricFamily(self.name, self.text)
        for labels, [total] in totals.items():
            family.add_metric(labels, total)
        return family


class Histogram(Meter):
    """The number of observations up to each bound, and their sum."""

    def __init__(
        self, name: str, text: str, bounds: tuple[float, ...], **labels: LabelValues
    ) -> None:
        # A count for each bound, one for values over the last bound, and the sum.
        super().__init__(name, text, len(bounds) + 2, labels)
        self._bounds = bounds
        self._names = [*map(str, bounds), "+Inf"]

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count an observation."""
        series = self._series(labels)
        series[bisect_left(self._bounds, value)] += 1
        series[-1] += value

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return the metric of the exposition."""
        family = HistogramMetricFamily(self.name, self.text, labels=[*self.labels])
        for labels, [*counts, total] in totals.items():
            buckets = list(zip(self._names, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, sum_value=total)
        return family


class Totals:
    """The sums over all processes of an instance; a collector for prometheus_client."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[Labels, list[float]]] = {
            meter.name: {} if meter.labels else {(): [0] * meter.width}
            for meter in Meter.declared.values()
        }
        self._levels: dict[int, dict[str, list[float]]] = {}

    def add(self, message: bytes) -> None:
        """Add a message of a process."""
        pid, name, part = orjson.loads(message)
        for labels, series in part:
            if isinstance(Meter.declared[name], Gauge):
                self._levels.setdefault(pid, {})[name] = series
                continue
            sums = self._sums[name].setdefault(tuple(labels), [0] * len(series))
            sums[:] = map(sum, zip(sums, series, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Return the metric of the exposition."""
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


def open_channel() -> tuple[socket.socket, socket.socket]:
    """Return the receiving socket of the process that serves Prometheus, and the sending one.

    Neither blocks: counts that can't be sent now stay unsent until the next time.
    """
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for one in (receiver, sender):
        one.setblocking(False)  # noqa: FBT003  the standard library's signature
    return receiver, sender
