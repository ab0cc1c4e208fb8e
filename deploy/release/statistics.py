"""Tests of whether the canary is worse than the stable revision: pure functions of counts.

Intervals are one-sided at 99 %, as is the sequential test.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

# One-sided 1 %.
Z = 2.3263478740408408
ODDS_RATIO = 3.0
ALPHA, BETA = 0.01, 0.05
# Wald's boundaries of the log likelihood ratio.
WORSE = math.log((1 - BETA) / ALPHA)
NOT_WORSE = math.log(BETA / (1 - ALPHA))


class Share(NamedTuple):
    """How many of some events are of a kind, such as errors among requests."""

    part: float
    whole: float

    @property
    def ratio(self) -> float:
        """The part of one; 0 of no events."""
        return self.part / self.whole if self.whole else 0.0


class Interval(NamedTuple):
    """The bounds of an estimate."""

    low: float
    high: float


def wilson(share: Share, z: float = Z) -> Interval:
    """Return Wilson's interval of a ratio; (0, 1) of no events."""
    if not share.whole:
        return Interval(0.0, 1.0)
    n, p = share.whole, share.ratio
    middle = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Interval(max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def newcombe(canary: Share, stable: Share, z: float = Z) -> Interval:
    """Return Newcombe's interval (his method 10) of the canary's ratio less the stable one's."""
    ours, theirs = wilson(canary, z), wilson(stable, z)
    difference = canary.ratio - stable.ratio
    below = math.hypot(canary.ratio - ours.low, theirs.high - stable.ratio)
    above = math.hypot(ours.high - canary.ratio, stable.ratio - theirs.low)
    return Interval(difference - below, difference + above)


def log_likelihood_ratio(canary: Share, stable: Share) -> float:
    """Return the evidence that the odds of an error are `ODDS_RATIO` times higher in the canary.

    It is conditional on the number of all errors, so the ratio that both share need not be known:
    each error is the canary's with a probability that follows from the requests.
    """
    if not canary.whole or not stable.whole:
        return 0.0
    equal = canary.whole / (canary.whole + stable.whole)
    worse = ODDS_RATIO * canary.whole / (ODDS_RATIO * canary.whole + stable.whole)
    of_canary = canary.part * math.log(worse / equal)
    return of_canary + stable.part * math.log((1 - worse) / (1 - equal))


class Slower(NamedTuple):
    """Mann-Whitney: `chance` that a request to the canary takes longer, and its standard error."""

    chance: float
    error: float


def mann_whitney(canary: Sequence[float], stable: Sequence[float]) -> Slower:
    """Compare two histograms, given as counts of the same buckets in order; a tie counts half.

    Returns:
        A chance of 0.5 and an error of infinity if one of them is empty.

    """
    ours, theirs = sum(canary), sum(stable)
    if not ours or not theirs:
        return Slower(0.5, math.inf)
    wins = below = 0.0
    for mine, other in zip(canary, stable, strict=True):
        wins += mine * (below + other / 2)
        below += other
    total = ours + theirs
    tied = sum((a + b) ** 3 - (a + b) for a, b in zip(canary, stable, strict=True))
    variance = (total + 1 - tied / (total * max(total - 1, 1))) / (12 * ours * theirs)
    return Slower(wins / (ours * theirs), math.sqrt(max(variance, 0.0)))


def tail_bucket(counts: Sequence[float], share: float) -> int:
    """Return the first bucket above which at most this share of a histogram is; its last at most.

    The result `i` says: the tail are `counts[i + 1:]`.
    """
    above, total = sum(counts), sum(counts)
    for number, count in enumerate(counts[:-1]):
        above -= count
        if above <= share * total:
            return number
    return max(len(counts) - 2, 0)
