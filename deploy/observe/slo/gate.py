"""Asks Prometheus what is left of the error budgets; a release waits while one is spent."""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from deploy.observe import prometheus_api
from deploy.observe.slo.spec import Spec

URL = "http://127.0.0.1:9090"
OBJECTIVE = "slo:objective:ratio"
REMAINING = "slo:period_error_budget_remaining:ratio"
RATIO = "slo:sli_error:ratio_rate30d"


class State(StrEnum):
    """What is known of an error budget."""

    LEFT = "left"
    SPENT = "SPENT"
    NO_EVENTS = "no events"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Budget:
    """An objective's error budget; `ratio` and `remaining` are None where there is no figure."""

    name: str
    objective: float
    ratio: float | None
    remaining: float | None
    state: State

    @property
    def passes(self) -> bool:
        """Whether a release may go on: an idle service has spent nothing."""
        return self.state in {State.LEFT, State.NO_EVENTS}

    def row(self) -> tuple[str, ...]:
        """Return the cells of a table."""
        good = "—" if self.ratio is None else f"{100 * (1 - self.ratio):.4g} %"
        left = "—" if self.remaining is None else f"{100 * self.remaining:.4g} %"
        return self.name, f"{self.objective:g} %", good, left, self.state.value

    def as_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


def states(spec: Spec, url: str = URL) -> list[Budget]:
    """Return the error budgets of all objectives.

    Raises:
        PrometheusAway: it can't be asked.

    """
    selector = f'{{sloth_service="{spec.service}"}}'
    known, remaining, ratios = (
        _query(url, f"{name}{selector}") for name in (OBJECTIVE, REMAINING, RATIO)
    )
    found = []
    for slo in spec.slos:
        # Without an event there is no ratio, or it is 0 / 0.
        left = remaining.get(slo.name, math.nan)
        state = State.UNKNOWN if slo.name not in known else _state(left)
        shown = left if state in {State.LEFT, State.SPENT} else None
        ratio = ratios.get(slo.name) if shown is not None else None
        found.append(Budget(slo.name, slo.objective, ratio, shown, state))
    return found


def _state(remaining: float) -> State:
    if math.isnan(remaining):
        return State.NO_EVENTS
    return State.LEFT if remaining > 0 else State.SPENT


def _query(url: str, query: str) -> dict[str, float]:
    """Return the values of an instant query by objective."""
    return {each.labels["sloth_slo"]: each.value for each in prometheus_api.query(url, query)}
