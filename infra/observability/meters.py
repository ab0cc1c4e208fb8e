"""Counters, gauges and histograms, summed over all processes of an instance.

A process counts in its own memory and sends changes to the process that serves Prometheus. No file
is involved, so a full disk or another instance can't affect the figures.
"""

import time
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate, product
from typing import ClassVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

OTHER = "_OTHER"

Labels = tuple[str, ...]


class Instance(StrEnum):
    """What serves an exposition: the processes of one `enroll api`, or of one `enroll worker`."""

    API = "api"
    WORKER = "worker"


class LabelValues:
    """The values that a label may have; all others are counted under `_OTHER`.

    All label values are checked here, so that clients can't create series. The first `dynamic`
    unknown values are added, for names that an operator or the code chooses.
    """

    def __init__(self, *known: object, dynamic: int = 0) -> None:
        self._known = dict.fromkeys(map(str, known))
        self._free_slots = dynamic
        self._is_closed = not dynamic

    def add(self, *values: str) -> None:
        """Add values that are known only after the start of the program."""
        self._known.update(dict.fromkeys(values))

    def bound(self, value: object) -> str:
        """Return the value, or `_OTHER`."""
        text = str(value)
        if text not in self._known:
            if not self._free_slots:
                return OTHER
            self._free_slots -= 1
            self._known[text] = None
        return text

    def closed(self) -> Collection[str]:
        """Return all values but `_OTHER`; none if values are added while the program runs."""
        return self._known if self._is_closed else ()


def bounded(labels: Mapping[str, LabelValues], values: Labels) -> Labels:
    """Return the values of labels, or `_OTHER` for those that a label may not have."""
    pairs = zip(labels.values(), values, strict=True)
    return tuple(allowed.bound(value) for allowed, value in pairs)


class Meter:
    """A metric: one name in the exposition, with series by label values.

    `served_by` are the instances whose expositions always have the name; in those of the others it
    appears with its first count.
    """

    declared: ClassVar[dict[str, "Meter"]] = {}

    def __init__(
        self,
        name: str,
        text: str,
        width: int,
        served_by: Iterable[Instance],
        labels: Mapping[str, LabelValues],
    ) -> None:
        if name in self.declared:
            message = f"the metric {name} is declared twice"
            raise ValueError(message)
        self.declared[name] = self
        self.name = name
        self.text = text
        self.width = width
        self.served_by = frozenset(served_by)
        self.labels = labels
        # Counted here and not yet sent.
        self._unsent: dict[Labels, list[float]] = {}

    def _series(self, values: Labels) -> list[float]:
        series = self._unsent.get(values)
        return self._new_series(values) if series is None else series

    def _new_series(self, values: Labels) -> list[float]:
        return self._unsent.setdefault(bounded(self.labels, values), [0] * self.width)

    def unsent(self) -> list[tuple[Labels, list[float]]]:
        """Return copies of the series that changed; another thread may count meanwhile."""
        return [(labels, [*series]) for labels, series in [*self._unsent.items()] if any(series)]

    def mark_sent(self, labels: Labels, sent: Sequence[float]) -> None:
        """Take off what was sent."""
        series = self._unsent[labels]
        for position, each in enumerate(sent):
            series[position] -= each

    def clear(self) -> None:
        """Forget what was counted and not sent."""
        self._unsent.clear()

    def initial(self) -> dict[Labels, list[float]]:
        """Return the series that are shown before the first count."""
        return {} if self.labels else {(): [0] * self.width}

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return the metric of the exposition."""
        raise NotImplementedError


class Counter(Meter):
    """A number that only grows."""

    def __init__(
        self, name: str, text: str, served_by: Iterable[Instance] = Instance, **labels: LabelValues
    ) -> None:
        super().__init__(name, text, 1, served_by, labels)

    def inc(self, amount: float = 1, labels: Labels = ()) -> None:
        """Add to it."""
        self._series(labels)[0] += amount

    def initial(self) -> dict[Labels, list[float]]:
        """Return 0 for all label values: an increase from nothing to 1 is none to Prometheus."""
        return {each: [0] for each in product(*(each.closed() for each in self.labels.values()))}

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return the metric of the exposition."""
        family = CounterMetricFamily(self.name, self.text, labels=[*self.labels])
        for labels, [total] in totals.items():
            family.add_metric(labels, total)
        return family


class Gauge(Meter):
    """A level of each process; the exposition has the sum over running processes."""

    def __init__(self, name: str, text: str, served_by: Iterable[Instance] = Instance) -> None:
        super().__init__(name, text, 1, served_by, {})

    def set(self, value: float) -> None:
        """Set this process's level; each call sends it again, for a restarted receiver."""
        self._unsent[()] = [value]

    def unsent(self) -> list[tuple[Labels, list[float]]]:
        """Return the level if it was set again."""
        return [(labels, [*series]) for labels, series in [*self._unsent.items()]]

    def mark_sent(self, labels: Labels, sent: Sequence[float]) -> None:
        """Forget the level, unless it was set again."""
        if self._unsent[labels] == sent:
            del self._unsent[labels]

    def of(self, levels: Sequence[float]) -> float | None:
        """Return the figure for the levels of all processes; None: there is none."""
        return sum(levels)

    def family(self, totals: Mapping[Labels, Sequence[float]]) -> Metric:
        """Return the metric of the exposition."""
        family = GaugeMetricFamily(self.name, self.text)
        for labels, [total] in totals.items():
            family.add_metric(labels, total)
        return family


class Latest(Gauge):
    """The greatest level of all processes, as of a time; 0 until one is set."""

    def of(self, levels: Sequence[float]) -> float | None:
        """Return the greatest level."""
        return max(levels, default=0.0)


class Age(Gauge):
    """The seconds since an event, of the process for which it is longest ago."""

    def reset(self) -> None:
        """Record that the event happens now."""
        # All processes of a machine have the same monotonic clock.
        self.set(time.monotonic())

    def of(self, levels: Sequence[float]) -> float | None:
        """Return the greatest age."""
        return max(0.0, time.monotonic() - min(levels)) if levels else None


class Histogram(Meter):
    """The number of observations up to each bound, and their sum."""

    def __init__(
        self,
        name: str,
        text: str,
        bounds: tuple[float, ...],
        served_by: Iterable[Instance] = Instance,
        **labels: LabelValues,
    ) -> None:
        # A count for each bound, one for values over the last bound, and the sum.
        super().__init__(name, text, len(bounds) + 2, served_by, labels)
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
