"""The figures that targets are about, from the records and the readings of /metrics."""

from dataclasses import dataclass

from loadtests.load import exposition, slo
from loadtests.load.exposition import Reading
from loadtests.load.records import Records, Row, together
from loadtests.load.shapes import Shape
from loadtests.load.slo import Measures, Target

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}
BROKEN_IN_A_ROW = 2


def of_rows(rows: dict[str, Row], due: float) -> dict[tuple[str, str], float | None]:
    """Return percentiles, errors and the share answered, of all and of each endpoint."""
    found: dict[tuple[str, str], float | None] = {}
    total = together(rows)
    for title, row in {**rows, "": total}.items():
        for name, percent in PERCENTILES.items():
            found[name, title] = row.response.percentile(percent)
        found["errors", title] = row.errors.total() / len(row) if len(row) else None
    answered = len(together(rows, students_only=True))
    found["answered", ""] = answered / due if due else None
    return found


def of_service(readings: list[Reading]) -> dict[tuple[str, str], float | None]:
    """Return the figures of the service's metrics from the first to the last reading."""
    if not readings:
        return {}
    size = exposition.largest_total(readings, "database_pool_size")
    in_use = exposition.largest_total(readings, "database_pool_in_use")
    return {
        ("pool_use", ""): None if in_use is None or not size else in_use / size,
        ("hit_ratio", ""): exposition.hit_ratio(readings[0], readings[-1]),
        ("pool_waiting", ""): exposition.largest_total(readings, "database_pool_waiting"),
        ("task_lag", ""): exposition.largest(readings, "tasks_oldest_due_seconds"),
    }


@dataclass(frozen=True)
class StepResult:
    """A step of the shape `break`."""

    requests: float
    row: Row
    broken: tuple[str, ...]


class Ramp:
    """The steps of the shape `break`, judged one after the other."""

    def __init__(self, shape: Shape, targets: list[Target]) -> None:
        self._shape = shape
        self._targets = targets
        self.steps: list[StepResult] = []
        self._judged_until = shape.warm_up

    def judge_until(self, second: float, records: Records) -> bool:
        """Judge the steps that are over; tell whether two in a row were broken.

        One broken step may be another program's doing; two are ours.
        """
        start = 0.0
        if self.is_broken():
            return True
        for step in self._shape.steps:
            end = start + step.seconds
            if start >= self._judged_until and end <= second:
                self._judge(start, end, step.browsing + step.enrolling, records)
                self._judged_until = end
                if self.is_broken():
                    return True
            start = end
        return False

    def _judge(self, start: float, end: float, requests: float, records: Records) -> None:
        rows = records.between(start, end)
        measures = of_rows(rows, self._shape.students_due(start, end))
        verdicts = slo.judge(self._targets, slo.STEP, measures)
        broken = tuple(
            f"{each.target.name} {slo.show(each.target.measure, each.seen)}"
            for each in verdicts
            if each.outcome is not slo.Outcome.MET
        )
        self.steps.append(StepResult(requests, together(rows), broken))

    def is_broken(self) -> bool:
        """Return whether the last two steps were broken."""
        last = self.steps[-BROKEN_IN_A_ROW:]
        return len(last) == BROKEN_IN_A_ROW and all(step.broken for step in last)

    @property
    def knee(self) -> float | None:
        """The most requests a second that held, before two steps in a row did not."""
        held = [step.requests for step in self.steps if not step.broken]
        return max(held, default=0.0) if self.steps else None


__all__ = ["Measures", "Ramp", "StepResult", "of_rows", "of_service"]
