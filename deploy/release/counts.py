"""What was counted of requests: readings of counters, and sums of their increases."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.release.statistics import Share


@dataclass(frozen=True)
class Totals:
    """Requests, the errors among them, and the requests by bucket of their duration."""

    requests: float = 0.0
    errors: float = 0.0
    buckets: tuple[float, ...] = ()

    @property
    def share_of_errors(self) -> Share:
        """The errors among the requests."""
        return Share(self.errors, self.requests)

    def __add__(self, other: "Totals") -> "Totals":
        """Add two; one without buckets has no requests."""
        if not (self.buckets and other.buckets):
            buckets = self.buckets or other.buckets
        else:
            buckets = tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True))
        return Totals(self.requests + other.requests, self.errors + other.errors, buckets)

    def since(self, before: "Totals") -> "Totals":
        """Return the increase of a counter; all of it if it was reset, as Prometheus does."""
        pairs = [
            (self.requests, before.requests),
            (self.errors, before.errors),
            *zip(self.buckets, before.buckets, strict=True),
        ]
        if any(now < then for now, then in pairs):
            return self
        requests, errors, *buckets = (now - then for now, then in pairs)
        return Totals(requests, errors, tuple(buckets))

    @property
    def is_sound(self) -> bool:
        """Whether all are finite and not negative, and no more errors than requests."""
        numbers = (self.requests, self.errors, *self.buckets)
        return all(math.isfinite(each) and each >= 0 for each in numbers) and (
            self.errors <= self.requests
        )


@dataclass(frozen=True)
class Reading:
    """The counters of each instance of both revisions at one time.

    `bounds` are the upper bounds in seconds of all buckets but the last. `age` is that of the
    oldest sample, in seconds. `started` is when the canary's youngest process began, in seconds
    since 1970. `strangers` are revisions that run beside the two.
    """

    stable: Mapping[str, Totals] = field(default_factory=dict)
    canary: Mapping[str, Totals] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    age: float = 0.0
    started: float = 0.0
    strangers: tuple[str, ...] = ()

    def fault(self, stale_seconds: float) -> str:
        """Return what makes the reading unusable, or an empty text."""
        missing = [
            name for name, found in (("stable", self.stable), ("canary", self.canary)) if not found
        ]
        every = [*self.stable.values(), *self.canary.values()]
        if missing:
            return f"no series of {' and '.join(missing)}"
        if not math.isfinite(self.started):
            return "the canary's start is unknown"
        if not all(each.is_sound for each in every):
            return "a counter is no finite number"
        lengths = {len(each.buckets) for each in every}
        if not self.bounds or lengths != {len(self.bounds) + 1}:
            return "the histograms of the two revisions differ, or there are none"
        if not 0 <= self.age <= stale_seconds:
            return f"the newest data is {self.age:.0f} s old"
        return ""


@dataclass(frozen=True)
class Pair:
    """What was counted of both revisions over the same time."""

    canary: Totals = Totals()
    stable: Totals = Totals()

    def __add__(self, other: "Pair") -> "Pair":
        """Add what was counted later."""
        return Pair(self.canary + other.canary, self.stable + other.stable)

    @property
    def share_of_canary(self) -> Share:
        """The canary's requests among all."""
        return Share(self.canary.requests, self.canary.requests + self.stable.requests)


def increase(before: Reading, now: Reading) -> Pair:
    """Return what was counted between two readings; an instance that is new counts from now on."""
    return Pair(
        _sum(_increases(before.canary, now.canary)), _sum(_increases(before.stable, now.stable))
    )


def _increases(before: Mapping[str, Totals], now: Mapping[str, Totals]) -> Iterable[Totals]:
    return (totals.since(before[name]) for name, totals in now.items() if name in before)


def _sum(each: Iterable[Totals]) -> Totals:
    return sum(each, start=Totals())
