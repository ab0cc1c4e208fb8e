"""The targets of a load test, and the verdict on each: deploy/slo.yaml, and limits.toml."""

import operator
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.observe.slo import spec
from deploy.observe.slo.spec import Slo, SloError
from loadtests.load import endpoints
from loadtests.load.endpoints import COURSE, IMAGE, IMAGE_READY, PAGE
from loadtests.load.shapes import SHAPES

LIMITS = Path(__file__).with_name("limits.toml")
STEP = "step"

_BOUNDS = {
    "below": ("<", operator.lt),
    "above": (">", operator.gt),
    "at_most": ("≤", operator.le),
    "at_least": ("≥", operator.ge),
}
_UNITS = {
    "p50": "ms",
    "p95": "ms",
    "p99": "ms",
    "errors": "%",
    "answered": "%",
    "hit_ratio": "%",
    "pool_use": "%",
    "pool_waiting": "",
    "task_lag": "s",
    "memory_growth": "%",
    "knee": "RPS",
}

# What was seen, by measure and endpoint ("" is all); None is what could not be measured.
Measures = Mapping[tuple[str, str], float | None]


class Outcome(StrEnum):
    """The outcome of a target; only `met` is a pass."""

    MET = "met"
    MISSED = "MISSED"
    NOT_MEASURED = "NOT MEASURED"


@dataclass(frozen=True)
class Target:
    """One line of the table."""

    name: str
    measure: str
    endpoint: str
    relation: str
    bound: float
    shapes: tuple[str, ...]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Target":
        """Check one `[[target]]`.

        Raises:
            SloError: it has a key, measure, endpoint or shape that there is not, or no one bound.

        """
        name = data.get("name", "a target without a name")
        bounds = [key for key in _BOUNDS if key in data]
        unknown = data.keys() - {"name", "measure", "endpoint", "shapes", *_BOUNDS}
        if unknown or len(bounds) != 1 or "shapes" not in data:
            raise SloError(f"{name}: needs shapes and one of {', '.join(_BOUNDS)}; {unknown or ''}")
        if data.get("measure") not in _UNITS:
            raise SloError(f"{name}: there is no measure {data.get('measure')!r}")
        if (endpoint := data.get("endpoint", "")) and endpoint not in endpoints.BY_TITLE:
            raise SloError(f"{name}: there is no endpoint {endpoint!r}")
        if wrong := set(data["shapes"]) - {*SHAPES, STEP}:
            raise SloError(f"{name}: there is no shape {', '.join(sorted(wrong))}")
        (relation,) = bounds
        bound = float(data[relation])
        return cls(name, data["measure"], endpoint, relation, bound, tuple(data["shapes"]))

    def outcome(self, seen: float | None) -> Outcome:
        """Judge a measured value."""
        if seen is None:
            return Outcome.NOT_MEASURED
        holds = _BOUNDS[self.relation][1](seen, self.bound)
        return Outcome.MET if holds else Outcome.MISSED

    def show_bound(self) -> str:
        """Return the target as the table shows it."""
        return f"{_BOUNDS[self.relation][0]} {show(self.measure, self.bound)}"


# In `smoke` and `spike` a cold cache, and students who wait, are what is tried.
_STEADY = ("sustained", "peak", "soak")
_JUDGED = ("smoke", *_STEADY, "spike")


@dataclass(frozen=True)
class Judged:
    """How Locust sees an objective: by a measure of some endpoints, in some shapes."""

    measure: str
    relation: str
    titles: tuple[str, ...] = ("",)
    shapes: tuple[str, ...] = (*_JUDGED, STEP)


# The others are about parts that no client sees; the production's Prometheus judges those.
OBJECTIVES = {
    "availability": Judged("errors", "at_most"),
    "cached-reads": Judged("errors", "at_most", (PAGE.title, COURSE.title)),
    "latency-300ms": Judged("percentile", "below"),
    "latency-1s": Judged("percentile", "below"),
    "images-200ms": Judged("percentile", "below", (IMAGE.title,)),
    "cache-hits": Judged("hit_ratio", "above", shapes=_STEADY),
    "pool-use": Judged("pool_use", "below", shapes=_STEADY),
    "tasks-start": Judged("task_lag", "below", shapes=_JUDGED),
    "tasks-succeed": Judged("errors", "at_most", (IMAGE_READY.title,), _JUDGED),
}


def _of_objective(slo: Slo, judged: Judged) -> list[Target]:
    measure, bound = judged.measure, slo.threshold
    if measure == "percentile":
        measure, bound = f"p{slo.objective:g}", 1000 * bound if bound else None
    elif measure == "errors":
        bound = slo.budget
    elif measure == "hit_ratio":
        bound = slo.objective / 100
    if bound is None:
        raise SloError(f"{slo.name}: its query has no threshold")
    described = f"{slo.name}: {slo.description}"
    return [
        Target.of(
            {
                "name": f"{described} ({title})" if len(judged.titles) > 1 else described,
                "measure": measure,
                "endpoint": title,
                judged.relation: bound,
                "shapes": judged.shapes,
            }
        )
        for title in judged.titles
    ]


@dataclass(frozen=True)
class Verdict:
    """A target and its outcome."""

    target: Target
    seen: float | None

    @property
    def outcome(self) -> Outcome:
        """Met, missed or not measured."""
        return self.target.outcome(self.seen)


def load(limits: Path = LIMITS, objectives: Path = spec.FILE) -> list[Target]:
    """Read the targets: the service's objectives, then the limits of the shapes.

    Raises:
        SloError: a file can't be read, or a target is not usable.

    """
    found = [
        target
        for slo in spec.load(objectives).slos
        if slo.name in OBJECTIVES
        for target in _of_objective(slo, OBJECTIVES[slo.name])
    ]
    return found + _limits(limits)


def _limits(path: Path) -> list[Target]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SloError(f"{path.name}: {error}") from None
    return [Target.of(data) for data in document.get("target", [])]


def judge(targets: list[Target], shape: str, measures: Measures) -> list[Verdict]:
    """Return the verdicts on the targets of a shape."""
    return [
        Verdict(target, measures.get((target.measure, target.endpoint)))
        for target in targets
        if shape in target.shapes
    ]


def are_met(verdicts: list[Verdict]) -> bool:
    """Return whether there are targets, and each was measured and met."""
    return bool(verdicts) and all(each.outcome is Outcome.MET for each in verdicts)


def show(measure: str, value: float | None) -> str:
    """Return a figure with its unit, in so many digits that a near miss doesn't look met."""
    if value is None:
        return "—"
    unit = _UNITS[measure]
    scaled = value * 100 if unit == "%" else value
    digits = f"{scaled:,.3f}".rstrip("0").rstrip(".")
    if digits == "0" and scaled:
        digits = f"{scaled:.2g}"
    return f"{digits} {unit}".rstrip()
