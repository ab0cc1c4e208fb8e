"""A world for the state machine of releases: a router, two revisions and their counters."""

from dataclasses import dataclass, field, replace

from deploy.release.counts import Reading, Totals
from deploy.release.machine import advance
from deploy.release.plan import Plan
from deploy.release.state import Observation, State

BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
# Shares of the requests by bucket.
FAST = (0.5, 0.3, 0.1, 0.06, 0.03, 0.006, 0.004, 0.0)
SLOW = (0.2, 0.2, 0.24, 0.2, 0.15, 0.006, 0.004, 0.0)
TAIL = (0.495, 0.297, 0.1, 0.06, 0.03, 0.004, 0.009, 0.005)
TICK = 2.0


def plan(**changes):
    """Return a plan with short phases."""
    content = {
        "stable": {"revision": "1.0.0", "instances": ["127.0.0.1:8001"]},
        "canary": {"revision": "1.1.0", "instances": ["127.0.0.1:8002"]},
        "folder": "release",
        "nginx": {"include": "release.conf"},
    }
    return Plan.model_validate(content | changes)


@dataclass
class Revision:
    """How a revision answers."""

    errors: float = 0.001
    durations: tuple[float, ...] = FAST
    ready: float | None = 1.0
    counted: Totals = field(default_factory=lambda: Totals(buckets=(0.0,) * len(FAST)))

    def answer(self, requests):
        """Count some requests, in fractions."""
        buckets = tuple(requests * share for share in self.durations)
        self.counted += Totals(requests, requests * self.errors, buckets)


@dataclass
class World:
    """Time goes on by `tick`; the attributes are changed to break something."""

    rate: float = 200.0
    stable: Revision = field(default_factory=Revision)
    canary: Revision = field(default_factory=Revision)
    now: float = 1_000_000.0
    weight: int | None = None
    applies: bool = True
    shows_weight: bool = True
    has_metrics: bool = True
    age: float = 1.0
    started: float = 999_000.0
    strangers: tuple[str, ...] = ()
    abort: str = ""
    spoil: object = None
    # What the router does with the canary's traffic, if it differs from what it says.
    real_weight: int | None = None

    def observe(self):
        """Return what a controller sees now."""
        return Observation(
            self.now,
            self.weight if self.shows_weight else None,
            self.stable.ready,
            self.canary.ready,
            self._reading(),
            self.abort,
            "" if self.has_metrics else "Prometheus does not answer",
        )

    def _reading(self):
        if not self.has_metrics:
            return None
        found = Reading(
            {"a": self.stable.counted},
            {"b": self.canary.counted},
            BOUNDS,
            self.age,
            self.started,
            self.strangers,
        )
        return self.spoil(found) if self.spoil else found

    def pass_time(self, seconds=TICK):
        """Let clients send requests for some time."""
        self.now += seconds
        weight = (self.weight if self.real_weight is None else self.real_weight) or 0
        self.canary.answer(self.rate * seconds * weight / 100)
        self.stable.answer(self.rate * seconds * (100 - weight) / 100)

    def obey(self, order):
        """Apply an order, unless the router is broken."""
        if order is not None and self.applies:
            self.weight = order


def run(world, state=None, *, until=None, ticks=10_000, tick=TICK, **changes):
    """Run the machine until a phase, or its end; return the last state."""
    state = state or State.new(plan(**changes), world.now)
    for _ in range(ticks):
        if state.is_final or (until and until(state)):
            return state
        world.pass_time(tick)
        state, order = advance(state, world.observe())
        world.obey(order)
    raise AssertionError(f"it does not end: {state.phase}, {state.reason}")


def nan(reading):
    """Return a reading with a counter that is no number."""
    ((name, totals),) = reading.canary.items()
    return replace(reading, canary={name: replace(totals, requests=float("nan"))})


def empty(reading):
    """Return a reading without the canary's series."""
    return replace(reading, canary={})


def without_histogram(reading):
    """Return a reading without durations, as after a change of the metrics' names."""
    short = {
        name: {key: replace(each, buckets=each.buckets[-1:]) for key, each in found.items()}
        for name, found in (("stable", reading.stable), ("canary", reading.canary))
    }
    return replace(reading, bounds=(), **short)


def with_fewer_buckets(reading):
    """Return a reading of both revisions with other buckets than before."""
    short = {
        name: {key: replace(each, buckets=each.buckets[1:]) for key, each in found.items()}
        for name, found in (("stable", reading.stable), ("canary", reading.canary))
    }
    return replace(reading, bounds=BOUNDS[1:], **short)
