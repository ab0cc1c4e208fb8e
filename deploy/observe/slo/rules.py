"""Makes Prometheus's rules of the objectives: recording rules, and alerts on burn rates.

The names of the series are Sloth's, so that its public dashboards show them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.observe.slo.spec import WINDOW, Alert, Events, Raw, Slo, Spec

FILE = Path(__file__).resolve().parents[1] / "rules" / "slo.rules.yml"
PERIOD = "30d"
SECONDS = {
    "5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400, "3d": 259_200,
}  # fmt: skip
# Queries of days are costly, and change slowly.
SLOW_WINDOWS = frozenset({"1d", "3d", PERIOD})
FAST_INTERVAL, SLOW_INTERVAL = "30s", "2m"
# A burn rate of few events is chance: one error in fifteen requests at night is no fault.
MIN_ERRORS = 10
# Longer than the alerts on causes wait, which inhibit these.
FOR = "2m"
RUNBOOKS = "{{ $externalLabels.docs }}docs/runbooks.md"

HEAD = """\
# Written by `enroll slo rules` from deploy/slo.yaml. Do not edit; `make lint` compares them.
#
# Each series has the labels sloth_service, sloth_slo and sloth_id (both of them), and those of a
# window have sloth_window.
#   slo:sli_error:ratio_rate5m (30m 1h 2h 6h 1d 3d 30d)  errors / events in the window
#   slo:sli_errors:increase1h (6h 1d 3d)                 errors in the window: the traffic guard
#   slo:sli_errors:rate5m, slo:sli_events:rate5m         errors and events a second
#   slo:objective:ratio, slo:error_budget:ratio, slo:time_period:days
#   slo:current_burn_rate:ratio, slo:period_burn_rate:ratio
#   slo:period_error_budget_remaining:ratio              1 is untouched, 0 and less is spent
"""


@dataclass(frozen=True)
class Pair:
    """Two windows in which the budget burns so many times too fast; the short one ends soon."""

    factor: float
    long: str
    short: str


PAGE = (Pair(14.4, "1h", "5m"), Pair(6, "6h", "30m"))
TICKET = (Pair(3, "1d", "2h"), Pair(1, "3d", "6h"))
GUARDED = tuple(pair.long for pair in (*PAGE, *TICKET))

Rule = dict[str, Any]


def is_reachable(slo: Slo, pair: Pair) -> bool:
    """Return whether the ratio of errors, at most 1, can exceed the pair's threshold."""
    return pair.factor * slo.budget < 1


def thresholds(spec: Spec) -> Iterator[str]:
    """Yield a sentence for each alert on a burn rate that can never fire."""
    for slo in spec.slos:
        for pair in (*PAGE, *TICKET):
            if not is_reachable(slo, pair):
                yield (
                    f"{slo.name}: {pair.factor:g} times {slo.budget:.4g} is not below 1, so a burn "
                    f"rate of {pair.factor:g} can never be seen: the alert is on a ratio of errors "
                    f"above {slo.budget:.4g} in {pair.long} and {pair.short}"
                )


def render(spec: Spec) -> str:
    """Return the file of rules; the same objectives always give the same text."""
    groups = [group for slo in spec.slos for group in _groups(spec, slo)]
    text: str = yaml.dump(
        {"groups": groups}, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True
    )
    return f"{HEAD}{text}"


class _Dumper(yaml.SafeDumper):
    """Repeats labels rather than referring to them: a reader sees a rule at once."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  PyYAML's signature
        return True


def _groups(spec: Spec, slo: Slo) -> Iterator[Rule]:
    labels = _labels(spec, slo)
    slow = [_ratio(slo, labels, window) for window in SECONDS if window in SLOW_WINDOWS]
    fast = [_ratio(slo, labels, window) for window in SECONDS if window not in SLOW_WINDOWS]
    events = slo.sli.events
    guards = [_guard(events, labels, window) for window in GUARDED] if events else []
    yield {
        "name": f"{slo.name}-fast",
        "interval": FAST_INTERVAL,
        "rules": [
            *fast,
            *(each for each in guards if each["labels"]["sloth_window"] not in SLOW_WINDOWS),
            *_basis(slo, labels),
            *_metadata(spec, slo, labels),
        ],
    }
    yield {
        "name": f"{slo.name}-slow",
        "interval": SLOW_INTERVAL,
        "rules": [
            *slow,
            *(each for each in guards if each["labels"]["sloth_window"] in SLOW_WINDOWS),
            *_period(slo, labels),
        ],
    }
    alerts = [*_alert(spec, slo, "page", PAGE), *_alert(spec, slo, "ticket", TICKET)]
    if alerts:
        yield {"name": f"{slo.name}-alerts", "interval": FAST_INTERVAL, "rules": alerts}


def _labels(spec: Spec, slo: Slo) -> dict[str, str]:
    return {
        **spec.labels,
        "sloth_id": f"{spec.service}-{slo.name}",
        "sloth_service": spec.service,
        "sloth_slo": slo.name,
    }


def _record(name: str, expr: str, labels: dict[str, str], window: str = "") -> Rule:
    own = {**labels, "sloth_window": window} if window else dict(labels)
    return {"record": name, "expr": expr, "labels": own}


def _selector(labels: dict[str, str]) -> str:
    return f'{{sloth_id="{labels["sloth_id"]}"}}'


def _errors(events: Events, window: str) -> str:
    """Return the rate of errors: 0, and not absent, while there was never one."""
    return f"(({_in(window, events.error_query)}) or 0 * {_all(events, window)})"


def _all(events: Events, window: str) -> str:
    return f"({_in(window, events.total_query)})"


def _in(window: str, query: str) -> str:
    return " ".join(query.replace(WINDOW, window).split())


def _ratio(slo: Slo, labels: dict[str, str], window: str) -> Rule:
    match slo.sli.chosen:
        case Events() as events:
            expr = f"{_errors(events, window)} / {_all(events, window)}"
        case Raw(error_ratio_query=query):
            expr = f"({_in(window, query)})"
    return _record(f"slo:sli_error:ratio_rate{window}", expr, labels, window)


def _guard(events: Events, labels: dict[str, str], window: str) -> Rule:
    expr = f"{_errors(events, window)} * {SECONDS[window]}"
    return _record(f"slo:sli_errors:increase{window}", expr, labels, window)


def _basis(slo: Slo, labels: dict[str, str]) -> Iterator[Rule]:
    if events := slo.sli.events:
        yield _record("slo:sli_errors:rate5m", _errors(events, "5m"), labels)
        yield _record("slo:sli_events:rate5m", _all(events, "5m"), labels)


def _metadata(spec: Spec, slo: Slo, labels: dict[str, str]) -> Iterator[Rule]:
    yield _record("slo:objective:ratio", f"vector({slo.objective / 100:.10g})", labels)
    yield _record("slo:error_budget:ratio", f"vector({slo.budget:.10g})", labels)
    yield _record("slo:time_period:days", f"vector({PERIOD.removesuffix('d')})", labels)
    burn = f"max without(sloth_window) (slo:sli_error:ratio_rate5m{_selector(labels)})"
    yield _record("slo:current_burn_rate:ratio", f"{burn} / {slo.budget:.10g}", labels)
    info = {
        **labels,
        "sloth_objective": f"{slo.objective:g}",
        "sloth_mode": "enroll-slo-rules",
        "sloth_spec": spec.version,
        "sloth_version": "none",
    }
    yield _record("sloth_slo_info", "vector(1)", info)


def _period(slo: Slo, labels: dict[str, str]) -> Iterator[Rule]:
    """Yield the rules of the period, from recorded rates: weighted by traffic, and cheap."""
    chosen = _selector(labels)
    if slo.sli.events:
        expr = (
            f"sum_over_time(slo:sli_errors:rate5m{chosen}[{PERIOD}])"
            f" / sum_over_time(slo:sli_events:rate5m{chosen}[{PERIOD}])"
        )
    else:
        inner = f"slo:sli_error:ratio_rate5m{chosen}[{PERIOD}]"
        expr = f"max without(sloth_window) (avg_over_time({inner}))"
    yield _record(f"slo:sli_error:ratio_rate{PERIOD}", expr, labels, PERIOD)
    burn = f"max without(sloth_window) (slo:sli_error:ratio_rate{PERIOD}{chosen})"
    yield _record("slo:period_burn_rate:ratio", f"{burn} / {slo.budget:.10g}", labels)
    left = f"1 - slo:period_burn_rate:ratio{chosen}"
    yield _record("slo:period_error_budget_remaining:ratio", left, labels)


def _alert(spec: Spec, slo: Slo, speed: str, pairs: tuple[Pair, ...]) -> Iterator[Rule]:
    alert: Alert = getattr(slo.alerting, f"{speed}_alert")
    if alert.disable:
        return
    name = slo.alerting.name
    if all(is_reachable(slo, pair) for pair in pairs):
        seen = "which spends the error budget of 30 days too fast"
    else:
        # The most sensitive pair with a factor of 1 includes all others.
        pairs = (Pair(1, pairs[0].long, pairs[0].short),)
        seen = f"and {slo.budget:.2%} are the threshold"
    labels = _labels(spec, slo)
    conditions = [_condition(slo, labels, pair) for pair in pairs]
    yield {
        "alert": name,
        "expr": " or ".join(f"({each})" for each in conditions),
        "for": FOR,
        "labels": {**labels, "sloth_severity": speed, **alert.labels},
        "annotations": {
            "summary": (
                f"{slo.name} ({slo.objective:g} %): "
                f"{{{{ $value | humanizePercentage }}}} are errors, {seen}."
            ),
            "description": slo.description,
            "runbook_url": f"{RUNBOOKS}#{name.lower()}",
        },
    }


def _condition(slo: Slo, labels: dict[str, str], pair: Pair) -> str:
    chosen, threshold = _selector(labels), f"{pair.factor:g} * {slo.budget:.10g}"
    parts = [
        f"max without(sloth_window) (slo:sli_error:ratio_rate{window}{chosen}) > {threshold}"
        for window in (pair.long, pair.short)
    ]
    if slo.sli.events:
        guard = f"slo:sli_errors:increase{pair.long}{chosen}"
        parts.append(f"max without(sloth_window) ({guard}) >= {MIN_ERRORS}")
    return " and ".join(parts)
