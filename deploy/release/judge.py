"""Judges the canary by what was counted of it and of the stable revision."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from enum import Enum, auto

from deploy.release.counts import Pair
from deploy.release.plan import FULL, Limits
from deploy.release.statistics import (
    WORSE,
    Share,
    Z,
    log_likelihood_ratio,
    mann_whitney,
    newcombe,
    tail_bucket,
)

# The stable revision has at most this share above the bucket at which the tails are compared.
TAIL_SHARE = 0.01
# How far the share of traffic may be from the weight: readings are not of one moment, and some
# clients do not come through the router.
OFF_WEIGHT = 0.5
SURELY = 5.0


class Verdict(Enum):
    """What the counts say; `UNSURE` never promotes."""

    GOOD = auto()
    UNSURE = auto()
    BAD = auto()


@dataclass(frozen=True)
class Finding:
    """A verdict and its reason in a sentence."""

    verdict: Verdict
    reason: str


def worse_errors(counted: Pair) -> str:
    """Return why the release has to be aborted now for its errors, or an empty text."""
    canary, stable = counted.canary.share_of_errors, counted.stable.share_of_errors
    if log_likelihood_ratio(canary, stable) < WORSE:
        return ""
    return f"errors: {_of(canary)} of the canary, {_of(stable)} of the stable revision"


def too_much_traffic(counted: Pair, weight: int) -> str:
    """Return why the canary surely gets more than its weight, or an empty text."""
    share = counted.share_of_canary
    bound = weight / FULL
    if weight == FULL or share.ratio - _spread(bound, share.whole) <= bound * (1 + OFF_WEIGHT):
        return ""
    return f"the canary gets {share.ratio:.1%} of the requests in place of {weight} %"


def judge(counted: Pair, observed: Pair, bounds: tuple[float, ...], weight: int,
          limits: Limits) -> Finding:  # fmt: skip
    """Judge a step.

    `observed` is what both really got, and `counted` what is compared: at full weight the stable
    revision gets nothing, and its requests of an earlier step are taken.
    """
    findings = (
        _traffic(observed, weight),
        _errors(counted, limits),
        _tail(counted, bounds, limits),
        _slower(counted, bounds, limits),
    )
    worst = max(findings, key=lambda each: each.verdict.value)
    if worst.verdict is not Verdict.GOOD:
        return worst
    return Finding(Verdict.GOOD, "; ".join(each.reason for each in findings))


def _traffic(observed: Pair, weight: int) -> Finding:
    share, expected = observed.share_of_canary, weight / FULL
    allowed = OFF_WEIGHT * expected * (1 if weight < FULL else 0.1)
    allowed += _spread(expected, share.whole)
    sentence = f"the canary had {_of(share)} of the requests at {weight} %"
    is_near = share.part > 0 and abs(share.ratio - expected) <= allowed
    return Finding(Verdict.GOOD if is_near else Verdict.UNSURE, sentence)


def _spread(ratio: float, whole: float) -> float:
    return SURELY * math.sqrt(ratio * (1 - ratio) / whole) if whole else 1.0


def _errors(counted: Pair, limits: Limits) -> Finding:
    canary, stable = counted.canary.share_of_errors, counted.stable.share_of_errors
    bounds = newcombe(canary, stable)
    sentence = f"errors {_of(canary)} to {_of(stable)}"
    if bounds.low > 0:
        return Finding(Verdict.BAD, f"{sentence}: more, surely")
    if bounds.high > limits.errors:
        rest = f"may be {bounds.high:.2%} more, {limits.errors:.2%} are allowed"
        return Finding(Verdict.UNSURE, f"{sentence}: {rest}")
    return Finding(Verdict.GOOD, sentence)


def _tail(counted: Pair, bounds: tuple[float, ...], limits: Limits) -> Finding:
    canary, stable = counted.canary.buckets, counted.stable.buckets
    if not (sum(canary) and sum(stable)):
        return Finding(Verdict.UNSURE, "no request has a duration")
    floor = bisect_left(bounds, limits.latency_floor_seconds)
    place = max(min(tail_bucket(stable, TAIL_SHARE), len(bounds) - 1), min(floor, len(bounds) - 1))
    ours, theirs = (Share(sum(each[place + 1 :]), sum(each)) for each in (canary, stable))
    difference = newcombe(ours, theirs)
    sentence = f"above {bounds[place]:g} s {ours.ratio:.2%} to {theirs.ratio:.2%}"
    if difference.low > limits.tail_surely:
        return Finding(Verdict.BAD, f"{sentence}: a longer tail, surely")
    if difference.high > limits.tail:
        return Finding(Verdict.UNSURE, f"{sentence}: too few requests to tell")
    return Finding(Verdict.GOOD, sentence)


def _slower(counted: Pair, bounds: tuple[float, ...], limits: Limits) -> Finding:
    floor = bisect_left(bounds, limits.latency_floor_seconds)
    canary, stable = (
        (sum(each[: floor + 1]), *each[floor + 1 :])
        for each in (counted.canary.buckets, counted.stable.buckets)
    )
    slower = mann_whitney(canary, stable)
    sentence = f"slower with a chance of {slower.chance:.2f}"
    if slower.chance <= limits.slower_chance:
        return Finding(Verdict.GOOD, sentence)
    is_sure = slower.chance - Z * slower.error > 1 / 2
    return Finding(Verdict.BAD if is_sure else Verdict.UNSURE, sentence)


def _of(share: Share) -> str:
    return f"{share.part:.0f}/{share.whole:.0f} ({share.ratio:.2%})"
