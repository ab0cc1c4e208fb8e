"""The report: verdicts, endpoints, and the service's own metrics."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path

from loadtests.load import baseline, endpoints, exposition, slo
from loadtests.load.exposition import Reading
from loadtests.load.machine import Machine
from loadtests.load.measures import Ramp
from loadtests.load.records import Row, together
from loadtests.load.slo import Verdict
from loadtests.load.swarm import Run

CSV_ROWS = 300
PERCENTS = (50, 95, 99)
COLUMNS = (
    "Milliseconds. `response` is from when a request was due (no coordinated omission), `service` "
    "from when it was sent, `server` is the service's own histogram of the route, linear within "
    "its buckets."
)
BUSY_LOCUST_CORES = 0.8


@dataclass(frozen=True)
class Report:
    """A run and its verdicts; `bare_sanic` is the machine's baseline, if it was measured."""

    shape_name: str
    share: float
    host: str
    started: datetime
    machine: Machine
    bare_sanic: float | None
    run: Run
    verdicts: list[Verdict]

    @property
    def judged_from(self) -> float:
        """The first judged second."""
        return self.run.shape.warm_up

    @property
    def readings(self) -> list[Reading]:
        """The judged readings of /metrics."""
        return self.run.watch.readings_between(self.judged_from, self.run.end)

    @property
    def rows(self) -> dict[str, Row]:
        """The responses of the judged time."""
        return self.run.records.between(self.judged_from, self.run.end)

    def text(self) -> str:
        """Return the whole report in Markdown."""
        passed = "met" if slo.are_met(self.verdicts) else "NOT met"
        parts = [
            f"# Load test {self._name()}, {self.started:%Y-%m-%d}: the targets are {passed}",
            f"{self.machine}. {self._what()}",
            *self._baseline(),
            verdict_table(self.verdicts),
            f"![Requests and percentiles over time]({self.file_stem}.png)",
            "## By endpoint",
            COLUMNS,
            endpoint_table(self.rows, self.readings),
            *self._errors(),
            *([step_table(self.run.ramp)] if self.run.ramp else []),
            "## The service meanwhile",
            self._service_table(),
        ]
        return "\n\n".join(parts) + "\n"

    @property
    def kind(self) -> str:
        """The kind of result: a newer one takes the place of an older one."""
        part = f"-at-{self.share:g}" if self.share != 1 else ""
        return f"load-{self.shape_name}{part}"

    @property
    def file_stem(self) -> str:
        """The name of the report's files without their extensions."""
        return f"{self.kind}-{self.started:%Y-%m-%d}"

    def _name(self) -> str:
        part = f" with {self.share:g} of its students' requests" if self.share != 1 else ""
        return f"`{self.shape_name}`{part}"

    def _baseline(self) -> list[str]:
        if self.bare_sanic is None:
            return []
        set_at = baseline.TARGETS_SET_AT
        of_old = self.bare_sanic / set_at
        told = (
            f"Just before, bare Sanic answered {self.bare_sanic:,.0f} requests in a second of one "
            f"core (constant bytes, 10 KB): {of_old:.2f} of the {set_at:,} on "
            "the machine for which the targets were set."
        )
        knees = [each for each in self.verdicts if each.target.measure == "knee"]
        for each in knees:
            told += (
                f" Measured by that, the knee is {(each.seen or 0) / self.bare_sanic:.3f} of bare "
                f"Sanic, and the aim {each.target.bound / set_at:.3f}."
            )
        return [told]

    def _what(self) -> str:
        shape, counted = self.run.shape, self.run.end - self.judged_from
        answered = len(together(self.rows))
        where = "the service on the same machine" if self.run.watch.roots[1:] else self.host
        return (
            f"Against {where}, at {self.started:%H:%M} UTC: {shape.users:,} users, "
            f"{answered:,} requests in {counted:.0f} s ({answered / counted:,.0f} a second) after "
            f"{self.judged_from:.0f} s to warm up; Poisson arrivals, "
            f"{shape.steps[-1].uploads * 60:g} uploads a minute."
        )

    def _errors(self) -> list[str]:
        found = [
            f"- {title}: {count} times {text}"
            for title, row in self.rows.items()
            for text, count in row.errors.most_common(5)
        ]
        return ["## Errors\n\n" + "\n".join(found)] if found else []

    def _service_table(self) -> str:
        readings = self.readings
        known = readings or [Reading({})]
        hits = exposition.hit_ratio(known[0], known[-1])
        size = exposition.largest_total(readings, "database_pool_size")
        in_use = exposition.largest_total(readings, "database_pool_in_use")
        waiting = exposition.largest_total(readings, "database_pool_waiting")
        lag = exposition.largest(readings, "tasks_oldest_due_seconds")
        cores = self.run.watch.cores_between(self.judged_from, self.run.end)
        busiest = self.run.watch.busiest_between(self.judged_from, self.run.end)
        memory = self.run.watch.memory_growth(self.judged_from, self.run.end)
        rows = [
            ("cache hits (memory and Redis)", slo.show("hit_ratio", hits)),
            ("by where it was answered", _answers(known[0], known[-1])),
            ("database pool, most in use / size", f"{_whole(in_use)} / {_whole(size)}"),
            ("database pool, most waiting", _whole(waiting)),
            ("tasks, longest wait of one that is due", slo.show("task_lag", lag)),
            ("cores used", _listed(cores.items(), "{:.2f}")),
            ("cores used, the busiest 5 s", _listed(busiest.items(), "{:.2f}")),
            (
                "memory (RSS) at the start, MB",
                _listed(((k, v[0]) for k, v in memory.items()), "{:.0f}"),
            ),
            (
                "memory (RSS) at the end, MB",
                _listed(((k, v[1]) for k, v in memory.items()), "{:.0f}"),
            ),
        ]
        looks = f"/metrics and the processes were looked at {len(readings)} times, every 5 s."
        if cores.get("Locust", 0) > BUSY_LOCUST_CORES * self.run.shape.processes:
            looks += " **Locust was short of CPU: the latencies are partly its own.**"
        return table(("figure", "seen"), rows) + f"\n\n{looks} — is what was not measured."


def verdict_table(verdicts: list[Verdict]) -> str:
    """Return target, seen, verdict."""
    rows = [
        (
            each.target.name,
            each.target.show_bound(),
            slo.show(each.target.measure, each.seen),
            each.outcome.value,
        )
        for each in verdicts
    ]
    return table(("what", "target", "seen", "verdict"), rows)


def endpoint_table(rows: dict[str, Row], readings: list[Reading]) -> str:
    """Return how fast each endpoint was, as Locust and as the service saw it."""
    lines = []
    for title, row in [*rows.items(), ("all requests", together(rows))]:
        endpoint = endpoints.BY_TITLE.get(title)
        server: tuple[str, ...] = ("",) * len(PERCENTS)
        if endpoint and endpoint.route and readings:
            first, last = readings[0], readings[-1]
            server = tuple(
                _milliseconds(
                    exposition.server_percentile(
                        first, last, endpoint.method, endpoint.route, percent
                    )
                )
                for percent in PERCENTS
            )
        lines.append(
            (
                title,
                f"{len(row):,}",
                str(row.errors.total()),
                *(_milliseconds(row.response.percentile(percent)) for percent in PERCENTS),
                *(_milliseconds(row.service.percentile(percent)) for percent in PERCENTS),
                *server,
            )
        )
    heads = ("P50", "P95", "P99")
    return table(
        ("endpoint", "requests", "errors", "response P50", *heads[1:], "service P50", *heads[1:],
         "server P50", *heads[1:]),
        lines,
    )  # fmt: skip


def step_table(ramp: Ramp) -> str:
    """Return the steps of `break`, up to the one that broke."""
    rows = [
        (
            f"{step.requests:,.0f}",
            *(_milliseconds(step.row.response.percentile(percent)) for percent in PERCENTS),
            str(step.row.errors.total()),
            "; ".join(step.broken) or "held",
        )
        for step in ramp.steps
    ]
    heads = ("requests a second", "P50", "P95", "P99", "errors", "")
    return "## Steps\n\n" + table(heads, rows)


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_csv(path: Path, run: Run) -> None:
    """Write requests and percentiles over time, in at most some hundred rows."""
    width = max(1, -(-int(run.end) // CSV_ROWS))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("second", "requests_a_second", "p50_ms", "p95_ms", "p99_ms", "errors"))
        for second, row in run.records.over_time(0, run.end, width):
            percentiles = [row.response.percentile(percent) for percent in PERCENTS]
            shown = [f"{each:.2f}" if each is not None else "" for each in percentiles]
            writer.writerow((second, round(len(row) / width), *shown, row.errors.total()))


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "—"
    return "> last bucket" if value == inf else f"{value:,.1f}"


def _whole(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f}"


def _listed(pairs: Iterable[tuple[str, float]], form: str) -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in pairs) or "—"


def _answers(before: Reading, after: Reading) -> str:
    grown = after.grown(before, "cache_requests_total").items()
    totals: dict[str, float] = {}
    for labels, count in grown:
        tier = dict(labels).get("tier", "?")
        totals[tier] = totals.get(tier, 0) + count
    return _listed(sorted(totals.items()), "{:,.0f}")
