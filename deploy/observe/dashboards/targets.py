"""The bounds of the objectives in deploy/slo.yaml, for the lines of the panels."""

import re
from dataclasses import dataclass

from deploy.observe.slo import spec

_BUCKET = re.compile(r'le="([\d.]+)"')


@dataclass(frozen=True)
class Bound:
    """What an objective demands."""

    # The share of good events.
    objective: float
    # The share of errors that it allows.
    errors: float
    # The time of an event that is good, where the objective is about time.
    seconds: float


def bound(name: str) -> Bound:
    """Return what the objective of this name demands."""
    slo = spec.load().slo(name)
    bucket = _BUCKET.search(repr(slo.sli.chosen))
    seconds = float(bucket[1]) if bucket else 0.0
    return Bound(round(1 - slo.budget, 10), slo.budget, seconds)
