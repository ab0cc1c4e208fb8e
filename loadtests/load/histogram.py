"""How long things took: counts in buckets that are 2 % wide, which add up over processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil, exp, log

_SMALLEST_MS = 0.01
_WIDTH = log(1.02)


def bucket(milliseconds: float) -> int:
    """Return the number of the bucket."""
    return ceil(log(milliseconds / _SMALLEST_MS) / _WIDTH) if milliseconds > _SMALLEST_MS else 0


def upper_edge(number: int) -> float:
    """Return the most milliseconds that the bucket holds."""
    return _SMALLEST_MS * exp(number * _WIDTH)


class Histogram:
    """Durations in milliseconds; percentiles are at most 2 % too high, and never too low."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: Counter[int] = Counter(counts or {})

    @classmethod
    def of(cls, *milliseconds: float) -> Histogram:
        """Return the histogram of these durations."""
        return cls(Counter(map(bucket, milliseconds)))

    def __len__(self) -> int:
        return self.counts.total()

    def add(self, other: Histogram) -> None:
        """Count what the other one has counted."""
        self.counts.update(other.counts)

    def percentile(self, percent: float) -> float | None:
        """Return the milliseconds of this quantile; None without a duration."""
        rank = ceil(len(self) * percent / 100)
        seen = 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= rank:
                return upper_edge(number)
        return None
