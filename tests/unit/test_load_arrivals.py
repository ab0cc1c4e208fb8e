"""The load tests' schedule of requests."""

from itertools import pairwise
from math import inf
from random import Random
from statistics import fmean, pstdev

import pytest

from loadtests.load.arrivals import Arrivals, Pace
from loadtests.load.shapes import SHAPES, Role, Shape, Step


def arrivals_of(schedule: Arrivals, users: int, seed: int = 1) -> list[float]:
    random = Random(seed)
    found = []
    for _ in range(users):
        second = schedule.after(0.0, random.expovariate(1.0) * users)
        while second < inf:
            found.append(second)
            second = schedule.after(second, random.expovariate(1.0) * users)
    return sorted(found)


def test_due_accumulates_over_the_steps():
    schedule = Arrivals([(10, 5), (20, 100), (10, 0.5)])
    assert [schedule.due(second) for second in (0, 5, 10, 20, 30, 40, 99)] == [
        *(0, 25, 50, 1050, 2050, 2055, 2055)
    ]
    assert schedule.end == 40


def test_after_is_the_inverse_of_due():
    schedule = Arrivals([(10, 5), (20, 100), (10, 0.5)])
    for second in (0.0, 3.3, 10.0, 12.5, 29.9, 31.0):
        for gap in (0.0, 0.1, 4.0):
            later = schedule.after(second, gap)
            assert schedule.due(later) == pytest.approx(schedule.due(second) + gap)


def test_an_interval_can_end_in_a_faster_step():
    assert Arrivals([(10, 1), (10, 10)]).after(9, 6) == pytest.approx(10.5)


def test_a_step_without_requests_is_skipped():
    assert Arrivals([(10, 1), (30, 0), (10, 1)]).after(9.5, 1) == pytest.approx(40.5)


def test_no_request_is_due_after_the_end():
    schedule = Arrivals([(10, 1)])
    assert schedule.after(9, 2) == inf
    assert schedule.after(11, 0.1) == inf


def test_a_share_is_of_students_and_not_of_observers():
    peak = SHAPES["peak"]
    quarter = peak.of_students(0.25)
    for role, share in [
        (Role.BROWSING, 0.25),
        (Role.ENROLLING, 0.25),
        (Role.ADMIN, 1),
        (Role.OPERATOR, 1),
    ]:
        due = [shape.arrivals(role).due(60) for shape in (quarter, peak)]
        assert due[0] == pytest.approx(due[1] * share)
    assert quarter.users == peak.users


@pytest.mark.parametrize("users", [1, 50])
def test_many_users_share_the_rate_of_each_step(users):
    found = arrivals_of(Arrivals([(100, 20), (100, 200)]), users)
    slow = sum(second < 100 for second in found)
    assert slow == pytest.approx(2_000, rel=0.08)
    assert len(found) - slow == pytest.approx(20_000, rel=0.03)


def test_arrivals_are_a_poisson_process():
    found = arrivals_of(Arrivals([(200, 100)]), users=20)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    # An exponential distribution has a standard deviation equal to its mean; a fixed pace has none.
    assert pstdev(gaps) == pytest.approx(fmean(gaps), rel=0.05)


@pytest.mark.parametrize(
    ("name", "requests", "users", "seconds"),
    [("sustained", 1000, 500, 300), ("peak", 2000, 1000, 120), ("soak", 500, 500, 1800)],
)
def test_a_steady_shape_has_its_rate_after_the_warm_up(name, requests, users, seconds):
    shape = SHAPES[name]
    assert shape.seconds - shape.warm_up == pytest.approx(seconds)
    assert shape.students_due(shape.warm_up, shape.seconds) == pytest.approx(requests * seconds)
    assert shape.browsing_students + shape.enrolling_students == users


def test_every_shape_has_users_in_each_role():
    for shape in SHAPES.values():
        assert all(shape.count(role) > 0 for role in Role)
        assert all(step.rate(role) > 0 for step in shape.steps for role in Role)


def test_a_shortened_shape_keeps_its_rates():
    shape = Shape((Step(20, 10, 5), Step(20, 100, 50)), 10, 5, warm_up=4).lasting(10)
    assert [step.seconds for step in shape.steps] == [5, 5]
    assert [step.browsing for step in shape.steps] == [10, 100]
    assert (shape.seconds, shape.warm_up) == (10, 1)


def times_of_a_user(stall: float) -> tuple[list[float], list[float]]:
    """Simulate a user at 50 requests a second with a server of 1 ms that stalls once."""
    pace = Pace(Arrivals([(60, 100)]), users=2, start=1_000.0, random=Random(5))
    now, response, service = 1_000.0, [], []
    pace.begin(now)
    now += pace.wait(now)
    while now < 1_050:
        started = now
        now += stall if len(service) == 500 else 0.001
        service.append(now - started)
        response.append(now - pace.due)
        now += pace.wait(now)
    return response, service


def test_a_stall_is_measured_by_all_requests_that_were_due_in_it():
    response, service = times_of_a_user(stall=2.0)
    assert sum(seconds > 0.1 for seconds in service) == 1, "the user waited for one answer only"
    late = [seconds for seconds in response if seconds > 0.1]
    assert len(late) == pytest.approx(50 * 2.0, rel=0.3)
    assert fmean(late) == pytest.approx(1.05, rel=0.2)


def test_a_stall_reduces_no_request():
    assert len(times_of_a_user(stall=2.0)[0]) == len(times_of_a_user(stall=0.001)[0])


def test_without_a_stall_response_and_service_time_are_nearly_equal():
    response, service = times_of_a_user(stall=0.001)
    assert fmean(response) - fmean(service) < 0.001


def test_a_late_user_has_no_missed_requests():
    pace = Pace(Arrivals([(60, 100)]), users=1, start=1_000.0, random=Random(5))
    pace.begin(1_030.0)
    pace.wait(1_030.0)
    assert pace.due > 1_030


def test_the_number_of_uploads_changes_nothing_else():
    shape = SHAPES["peak"].uploading(30)
    assert shape.arrivals(Role.ADMIN).due(60) == pytest.approx(30)
    assert shape.students_due(0, 60) == SHAPES["peak"].students_due(0, 60)
