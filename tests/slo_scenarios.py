"""Scenarios for `promtool test rules`, made of the objectives: series in, alerts out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from deploy.observe.slo.spec import Slo

FAST, SLOW, TICKET_FAST, TICKET_SLOW = 14.4, 6, 3, 1
ALL = 'count by(alertname, sloth_slo, sloth_severity) (ALERTS{alertstate="firing"})'
EVENTS_A_MINUTE = 600
HOUR, DAY = 60, 24 * 60


@dataclass
class Stretch:
    """Minutes with so many good and bad events in each; `restarts` sets all counters to 0 first."""

    minutes: int
    good: float
    bad: float
    restarts: bool = False


@dataclass
class Scenario:
    """What happens, minute by minute, and whether the alerts fire at its end."""

    name: str
    stretches: list[Stretch]
    page: bool
    ticket: bool
    step: int = 1
    # How many steps between two evaluations, of which each costs promtool some milliseconds.
    pace: int = 5
    fired: dict[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        self.fired = {"page": self.page, "ticket": self.ticket}


def _http(le: str = "", **labels: str) -> str:
    known = {"job": "api", "method": "GET", "route": "/api/v1/courses", "status": "200"} | labels
    known |= {"le": le} if le else {}
    name = f"http_request_duration_seconds_{'bucket' if le else 'count'}"
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in known.items()) + "}"


COURSE = "/api/v1/courses/<course_id:str>"
UPLOAD = {"method": "POST", "route": "/api/v1/courses/upload"}
IMAGE = {"route": "/media/<quoted:path>"}
WAIT = 'task_wait_seconds_%s{job="worker",task="images.process"%s}'
# What an event adds to: (series, if it is good, if it is bad).
SERIES: dict[str, list[tuple[str, float, float]]] = {
    "availability": [(_http(**UPLOAD), 1, 0), (_http(**UPLOAD, status="503"), 0, 1)],
    "cached-reads": [(_http(route=COURSE), 1, 0), (_http(status="500"), 0, 1)],
    "latency-300ms": [(_http(), 1, 1), (_http("0.3"), 1, 0)],
    "latency-1s": [(_http(), 1, 1), (_http("1.0"), 1, 0)],
    "database-availability": [
        ('database_query_duration_seconds_count{job="api",operation="select"}', 1, 1),
        ('database_errors_total{job="worker",reason="connection"}', 0, 1),
    ],
    "database-100ms": [
        ('database_query_duration_seconds_count{job="api",operation="select"}', 1, 1),
        ('database_query_duration_seconds_bucket{job="api",operation="select",le="0.1"}', 1, 0),
    ],
    "images-200ms": [(_http(**IMAGE), 1, 1), (_http("0.2", **IMAGE), 1, 0)],
    "images-availability": [
        ('storage_request_duration_seconds_count{job="worker",outcome="ok"}', 1, 0),
        ('storage_request_duration_seconds_count{job="worker",outcome="error"}', 0, 1),
    ],
    "cache-hits": [
        ('cache_requests_total{job="api",tier="memory"}', 1, 0),
        ('cache_requests_total{job="api",tier="database"}', 0, 1),
    ],
    "cache-availability": [
        ('cache_requests_total{job="api",tier="database"}', 1, 1),
        ('cache_errors_total{job="api"}', 0, 1),
    ],
    "tasks-start": [(WAIT % ("count", ""), 1, 1), (WAIT % ("bucket", ',le="5.0"'), 1, 0)],
    "tasks-succeed": [
        ('task_attempts_total{job="worker",task="images.process",outcome="succeeded"}', 1, 0),
        ('task_attempts_total{job="worker",task="images.process",outcome="failed"}', 0, 1),
    ],
}
# No errors of an objective: monitors and operators ask these, which fail all the time, and
# constraints refuse.
BESIDE = (
    'database_errors_total{job="api",reason="constraint"}',
    _http(route="/health", status="503"),
    _http(route="/health/ready", status="503"),
    _http(route="/metrics", status="500"),
    _http(route="/console/tasks", status="500"),
    _http(route="/console/tasks/<task_id:str>"),
)
POOL = ('database_pool_size{job="api"}', 'database_pool_in_use{job="api"}')


def scenarios(slo: Slo) -> Iterator[Scenario]:
    """Yield what is tested of an objective whose SLI has events."""
    budget, reachable = slo.budget, FAST * slo.budget < 1
    page_from = SLOW * budget if reachable else budget

    def burning(factor: float, minutes: int, *, restarts: bool = False) -> Stretch:
        bad = min(1, factor * budget) * EVENTS_A_MINUTE
        return Stretch(minutes, EVENTS_A_MINUTE - bad, bad, restarts)

    def steady(name: str, factor: float, minutes: int, **options: int) -> Scenario:
        page = factor * budget > page_from
        return Scenario(name, [burning(factor, minutes)], page, factor > 1, **options)

    fast = 1.2 * (FAST if reachable else 1)
    yield Scenario(
        "an hour above the fast burn rate, after three good hours",
        [burning(0, 3 * HOUR), burning(fast, HOUR + 5)],
        page=True,
        ticket=reachable,
    )
    yield Scenario(
        "the same with a counter reset",
        [burning(0, 3 * HOUR), burning(fast, HOUR), burning(fast, 5, restarts=True)],
        page=True,
        ticket=reachable,
    )
    yield Scenario(
        "the same, and then ten good minutes",
        [burning(0, 3 * HOUR), burning(fast, HOUR), burning(0, 10)],
        page=False,
        ticket=reachable,
    )
    if reachable:
        yield steady("six hours above the slow burn rate", 8, 6 * HOUR + 30, pace=15)
        yield steady("six hours below it", 5, 6 * HOUR + 30, pace=15)
    days = {"step": 2, "pace": 45}
    yield steady("three days above the budget", 1.5, 3 * DAY, **days)
    yield steady("three days below the budget", 0.8, 3 * DAY, **days)
    yield Scenario(
        "three days below the budget with counter resets",
        [burning(0.8, DAY), burning(0.8, DAY, restarts=True), burning(0.8, DAY, restarts=True)],
        page=False,
        ticket=False,
        **days,
    )
    night = [Stretch(1, 0, 1), *[Stretch(3, 0, 0), Stretch(1, 1, 0)] * 14, Stretch(3, 0, 0)]
    yield Scenario(
        "one error in fifteen requests an hour", night * 8, page=False, ticket=False, pace=15
    )


def pool_scenarios() -> Iterator[Scenario]:
    """Yield the same for the use of the pool: a bad minute is one above 80 %."""
    low, high = Stretch(6 * HOUR, 1, 0), Stretch(21, 0, 1)
    yield Scenario("twenty minutes", [low, high], page=True, ticket=True)
    yield Scenario("three minutes", [low, Stretch(3, 0, 1)], page=False, ticket=False)
    yield Scenario(
        "and then ten good ones", [low, high, Stretch(10, 1, 0)], page=False, ticket=True
    )
    # Fewer than three days: promtool loads 10,000 samples at most.
    hourly = [Stretch(59, 1, 0), Stretch(1, 0, 1)]
    yield Scenario("a minute each hour", hourly * 40, page=False, ticket=True, pace=60)
    rarely = [Stretch(179, 1, 0), Stretch(1, 0, 1)]
    yield Scenario("a minute each three hours", rarely * 13, page=False, ticket=False, pace=60)


def test_of(slo: Slo, scenario: Scenario) -> dict:
    """Return a test in the form of promtool."""
    samples = [
        (each.good * scenario.step, each.bad * scenario.step, each.restarts and not minute)
        for each in scenario.stretches
        for minute in range(0, each.minutes, scenario.step)
    ]
    if slo.sli.raw:
        size, in_use = POOL
        series = {
            size: [10.0] * len(samples),
            in_use: [9.0 if bad else 1.0 for _, bad, _ in samples],
        }
    else:
        series = {name: _counter(samples, good, bad) for name, good, bad in SERIES[slo.name]}
        series |= {name: _counter([(1, 0, False)] * len(samples), 100, 0) for name in BESIDE}
    expected = [
        {
            "labels": f'{{alertname="{slo.alerting.name}", sloth_severity="{severity}", '
            f'sloth_slo="{slo.name}"}}',
            "value": 1,
        }
        for severity, fires in scenario.fired.items()
        if fires
    ]
    # The last evaluation: between two of them there are no alerts.
    end = (len(samples) - 1) // scenario.pace * scenario.pace * scenario.step
    return {
        "name": f"{slo.name}: {scenario.name}",
        "interval": f"{scenario.step}m",
        "input_series": [
            {"series": name, "values": " ".join(f"{value:.10g}" for value in values)}
            for name, values in series.items()
        ],
        "promql_expr_test": [{"expr": ALL, "eval_time": f"{end}m", "exp_samples": expected}],
    }


def _counter(samples: list[tuple[float, float, bool]], good: float, bad: float) -> list[float]:
    """Return the values of a counter, from 0 again after a restart."""

    def add(total: float, sample: tuple[float, float, bool]) -> float:
        right, wrong, restarts = sample
        return (0 if restarts else total) + right * good + wrong * bad

    return list(accumulate(samples, add, initial=0.0))[1:]
