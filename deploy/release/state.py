"""What a controller knows of its release; it is kept, so that another one can go on."""

from dataclasses import field
from enum import StrEnum
from typing import Self

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from deploy.release.counts import Pair, Reading
from deploy.release.plan import Plan


class Phase(StrEnum):
    """Where a release is."""

    PREPARING = "preparing"
    MEASURING = "measuring"
    SHIFTING = "shifting"
    WATCHING = "watching"
    ROLLING_BACK = "rolling back"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    STUCK = "stuck"


FINAL = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK, Phase.STUCK})


@dataclass(frozen=True)
class Entry:
    """What happened, at seconds since 1970."""

    at: float
    phase: Phase
    weight: int
    sentence: str


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class State:
    """Times are seconds since 1970.

    `weight` is what the router is to have. `fresh_at` is when the canary was last seen to answer.
    `step_counted` is of this step, `tested` of the sequential test, and `reference` is what the
    stable revision had while it last got traffic. `pinned` is when the canary's processes began,
    `bounds` are those of the buckets.
    """

    plan: Plan
    phase: Phase
    since: float
    at: float
    fresh_at: float
    step: int = 0
    weight: int = 0
    was_shifted: bool = False
    reading: Reading | None = None
    pinned: float | None = None
    bounds: tuple[float, ...] = ()
    step_counted: Pair = Pair()
    tested: Pair = Pair()
    reference: Pair = Pair()
    judged: int = 0
    reason: str = ""
    history: tuple[Entry, ...] = field(default=())

    @classmethod
    def new(cls, plan: Plan, at: float) -> Self:
        """Return the state of a release that begins."""
        first = Entry(at, Phase.PREPARING, 0, f"release of {plan.canary.revision} begins")
        return cls(plan, Phase.PREPARING, at, at, at, history=(first,))

    @property
    def is_final(self) -> bool:
        """Whether the release has ended."""
        return self.phase in FINAL


@dataclass(frozen=True)
class Observation:
    """What was seen at one time.

    `weight` is the canary's percentage that the router was seen to apply, None if that is unknown.
    The two shares are those of instances that are ready, None if unknown. `reading` is None if
    there are no metrics. `abort` is why the release has to end now, `fault` what was not to be had.
    """

    at: float
    weight: int | None = None
    stable_ready: float | None = None
    canary_ready: float | None = None
    reading: Reading | None = None
    abort: str = ""
    fault: str = ""
