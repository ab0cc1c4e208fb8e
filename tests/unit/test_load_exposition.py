"""The load tests read /metrics; a missing metric is never a figure."""

from math import inf

import pytest

from loadtests.load import exposition
from loadtests.load.exposition import Reading


def histogram(*counts: float, route: str = "/api/v1/courses/<course_id:str>", status: int = 200):
    bounds = ("0.005", "0.01", "0.1", "+Inf")
    labels = f'method="GET",route="{route}",status="{status}"'
    name = exposition.DURATIONS
    lines = [f"# TYPE {name} histogram"]
    lines += [
        f'{name}_bucket{{{labels},le="{bound}"}} {count}'
        for bound, count in zip(bounds, counts, strict=True)
    ]
    return "\n".join(lines) + "\n"


def cache(**responses: float) -> str:
    lines = ["# TYPE cache_requests_total counter"]
    lines += [f'cache_requests_total{{tier="{name}"}} {n}' for name, n in responses.items()]
    return "\n".join(lines) + "\n"


NOTHING = Reading.of("")


def test_hits_are_the_difference_of_two_readings():
    before = Reading.of(cache(memory=100, redis=10, database=1_000))
    after = Reading.of(cache(memory=1_080, redis=20, database=1_010))
    assert exposition.hit_ratio(before, after) == pytest.approx(0.99)


def test_a_counter_that_was_reset_counts_from_zero():
    before = Reading.of(cache(memory=5_000, redis=0, database=10))
    after = Reading.of(cache(memory=90, redis=0, database=20))
    assert exposition.hit_ratio(before, after) == pytest.approx(0.9)


def test_without_the_metric_or_reads_there_is_no_hit_ratio():
    same = Reading.of(cache(memory=1, redis=1, database=1))
    assert exposition.hit_ratio(NOTHING, NOTHING) is None
    assert exposition.hit_ratio(same, same) is None


def test_percentiles_are_interpolated_within_a_bucket_of_a_route():
    before = Reading.of(histogram(10, 10, 10, 10))
    after = Reading.of(histogram(60, 110, 110, 110))
    of = ("GET", "/api/v1/courses/<course_id>")
    assert exposition.server_percentile(before, after, *of, 50) == pytest.approx(5)
    assert exposition.server_percentile(before, after, *of, 75) == pytest.approx(7.5)
    assert exposition.server_percentile(NOTHING, before, *of, 50) == pytest.approx(2.5)


def test_percentiles_include_every_status_and_no_other_route():
    text = histogram(0, 0, 10, 10, status=500) + histogram(90, 90, 90, 90)
    other = histogram(0, 0, 0, 500, route="/health")
    after = Reading.of(text + other)
    of = ("GET", "/api/v1/courses/<course_id>")
    assert exposition.server_percentile(NOTHING, after, *of, 95) == pytest.approx(55)
    assert exposition.server_percentile(NOTHING, after, "POST", of[1], 95) is None


def test_above_the_last_bound_there_is_no_percentile():
    after = Reading.of(histogram(1, 1, 1, 10))
    of = ("GET", "/api/v1/courses/<course_id>")
    assert exposition.server_percentile(NOTHING, after, *of, 95) == inf


def test_pool_and_task_figures_over_several_readings():
    readings = [
        NOTHING,
        *(
            Reading.of(
                "# TYPE database_pool_in_use gauge\n"
                f'database_pool_in_use{{pid="1"}} {first}\ndatabase_pool_in_use{{pid="2"}} 3\n'
                "# TYPE tasks_oldest_due_seconds gauge\n"
                f'tasks_oldest_due_seconds{{queue="images"}} {first / 10}\n'
            )
            for first in (1, 7, 2)
        ),
    ]
    assert exposition.largest_total(readings, "database_pool_in_use") == 10
    assert exposition.largest(readings, "tasks_oldest_due_seconds") == pytest.approx(0.7)
    assert exposition.largest_total(readings, "database_pool_waiting") is None
    assert exposition.largest([], "tasks_oldest_due_seconds") is None
