"""When requests are due: Poisson arrivals whose rate changes in steps."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from math import inf
from random import Random

_A_LONG_WAIT = 3600.0


class Arrivals:
    """A schedule of steps (seconds, requests a second), from second 0 on."""

    def __init__(self, steps: Iterable[tuple[float, float]]) -> None:
        steps = list(steps)
        self._rates = [rate for _, rate in steps]
        self._ends: list[float] = list(accumulate(seconds for seconds, _ in steps))
        self._due: list[float] = list(accumulate(seconds * rate for seconds, rate in steps))

    @property
    def end(self) -> float:
        """The second in which the schedule ends."""
        return self._ends[-1]

    def due(self, second: float) -> float:
        """Return how many requests are expected until this second."""
        step = bisect_right(self._ends, second)
        if step == len(self._ends):
            return self._due[-1]
        start, before = (self._ends[step - 1], self._due[step - 1]) if step else (0.0, 0.0)
        return before + max(0.0, second - start) * self._rates[step]

    def after(self, second: float, gap: float) -> float:
        """Return the second by which `gap` more requests are due; infinity after the end.

        With gaps drawn from the unit exponential the arrivals are a Poisson process of the
        schedule's rate; one of `users` that share it draws gaps `users` times as long.
        """
        wanted = self.due(second) + gap
        step = bisect_left(self._due, wanted)
        if step == len(self._due):
            return inf
        start, before = (self._ends[step - 1], self._due[step - 1]) if step else (0.0, 0.0)
        return start + (wanted - before) / self._rates[step]


class Pace:
    """One user's way through a schedule that `users` share; `start` is its second 0, by a clock.

    The next request is due independently of the last response: a user who waits for a slow response
    sends the next request late, and measures it from when it was due.
    """

    def __init__(self, arrivals: Arrivals, users: int, start: float, random: Random) -> None:
        self._arrivals = arrivals
        self._users = users
        self._start = start
        self._random = random
        self._second = 0.0

    @property
    def due(self) -> float:
        """When the request is due that is to be sent, by the clock."""
        return self._start + self._second

    def begin(self, now: float) -> None:
        """Come; a user that comes late has missed nothing, for it was not there."""
        self._second = max(0.0, now - self._start)

    def wait(self, now: float) -> float:
        """Draw when the next request is due; return the seconds until then, 0 when it is late."""
        gap = self._random.expovariate(1.0) * self._users
        self._second = self._arrivals.after(self._second, gap)
        return min(_A_LONG_WAIT, max(0.0, self.due - now))
