"""The shapes of load: how many come, how fast, for how long."""

from dataclasses import dataclass, replace
from enum import StrEnum

from loadtests.load.arrivals import Arrivals

# Within this time most courses are read once.
WARM_UP_SECONDS = 30.0


class Role(StrEnum):
    """Who sends requests."""

    BROWSING = "browsing"
    ENROLLING = "enrolling"
    ADMIN = "admin"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Step:
    """A stretch of time with requests a second of all students of a kind together.

    `uploads` are courses with a picture a second, `looks` what operators ask.
    """

    seconds: float
    browsing: float
    enrolling: float
    uploads: float = 0.1
    looks: float = 0.3

    def rate(self, role: Role) -> float:
        """Return the arrivals a second of a role."""
        rates = {
            Role.BROWSING: self.browsing,
            Role.ENROLLING: self.enrolling,
            Role.ADMIN: self.uploads,
            Role.OPERATOR: self.looks,
        }
        return rates[role]


@dataclass(frozen=True)
class Shape:
    """Steps, and who takes part; the first `warm_up` seconds are not judged."""

    steps: tuple[Step, ...]
    browsing_students: int
    enrolling_students: int
    warm_up: float = WARM_UP_SECONDS
    admins: int = 2
    operators: int = 1
    processes: int = 1
    until_broken: bool = False

    def count(self, role: Role) -> int:
        """Return how many users of a role there are."""
        counts = {
            Role.BROWSING: self.browsing_students,
            Role.ENROLLING: self.enrolling_students,
            Role.ADMIN: self.admins,
            Role.OPERATOR: self.operators,
        }
        return counts[role]

    @property
    def users(self) -> int:
        """How many users there are."""
        return sum(map(self.count, Role))

    @property
    def seconds(self) -> float:
        """How long it takes, the warm-up included."""
        return sum(step.seconds for step in self.steps)

    def arrivals(self, role: Role) -> Arrivals:
        """Return when the requests of a role are due."""
        return Arrivals((step.seconds, step.rate(role)) for step in self.steps)

    def students_due(self, start: float, end: float) -> float:
        """Return how many requests students are expected to make between two seconds."""
        schedules = (self.arrivals(Role.BROWSING), self.arrivals(Role.ENROLLING))
        return sum(each.due(end) - each.due(start) for each in schedules)

    def lasting(self, seconds: float) -> "Shape":
        """Return the same shape, shorter or longer."""
        factor = seconds / self.seconds
        steps = tuple(replace(step, seconds=step.seconds * factor) for step in self.steps)
        return replace(self, steps=steps, warm_up=self.warm_up * factor)

    def of_students(self, share: float) -> "Shape":
        """Return the same shape with so much of its students' requests."""
        steps = (
            replace(step, browsing=step.browsing * share, enrolling=step.enrolling * share)
            for step in self.steps
        )
        return replace(self, steps=tuple(steps))

    def uploading(self, a_minute: float) -> "Shape":
        """Return the same shape with so many courses with a picture a minute."""
        steps = tuple(replace(step, uploads=a_minute / 60) for step in self.steps)
        return replace(self, steps=steps)


def _mixed(seconds: float, requests: float, *, uploads: float = 0.1) -> Step:
    """Return a step of an ordinary day's mix: 15 of 100 requests are about enrolling."""
    return Step(seconds, requests * 0.85, requests * 0.15, uploads=uploads)


def _steady(requests: float, seconds: float, users: int, *, warm_up: float) -> Shape:
    return Shape(
        (_mixed(warm_up / 2, requests / 2), _mixed(warm_up / 2 + seconds, requests)),
        browsing_students=round(users * 0.85),
        enrolling_students=round(users * 0.15),
        warm_up=warm_up,
    )


SHAPES = {
    "smoke": Shape((_mixed(30, 50, uploads=0.5),), 17, 3, warm_up=5.0),
    "sustained": _steady(1000, 300, 500, warm_up=WARM_UP_SECONDS),
    "peak": _steady(2000, 120, 1000, warm_up=WARM_UP_SECONDS),
    # Students wait for the hour; then half of their requests are enrolments.
    "spike": Shape(
        (
            Step(10, 100, 5),
            Step(20, 285, 15),
            Step(60, 1200, 800),
            Step(30, 425, 75),
        ),
        browsing_students=600,
        enrolling_students=400,
    ),
    "soak": _steady(500, 1800, 500, warm_up=60.0),
    "break": Shape(
        (
            _mixed(WARM_UP_SECONDS, 1000),
            # Long enough for three uploads a step.
            *(_mixed(30, requests) for requests in range(1000, 8001, 500)),
        ),
        browsing_students=425,
        enrolling_students=75,
        processes=2,
        until_broken=True,
    ),
}
