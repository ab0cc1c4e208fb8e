"""The load tests' records: percentiles, and the files that processes write."""

import time
from random import Random

import pytest

from loadtests.load import endpoints
from loadtests.load.histogram import Histogram, bucket, upper_edge
from loadtests.load.recorder import Recorder
from loadtests.load.records import Records, together


def test_a_bucket_contains_its_value_and_is_two_percent_wide():
    for milliseconds in (0.02, 0.5, 1, 7.77, 150, 61_000):
        edge = upper_edge(bucket(milliseconds))
        assert milliseconds <= edge * 1.000001
        assert edge <= milliseconds * 1.021
    assert bucket(0) == 0


def test_percentiles_equal_those_of_the_sorted_values_or_are_just_above():
    random = Random(3)
    values = sorted(random.lognormvariate(1, 1) for _ in range(10_000))
    histogram = Histogram.of(*values)
    for percent in (50, 95, 99, 99.9, 100):
        exact = values[-(-int(percent * 100) // 1) - 1]
        assert exact <= histogram.percentile(percent) * 1.000001
        assert histogram.percentile(percent) <= exact * 1.021


def test_one_slow_response_of_twenty_is_not_in_the_p95_and_two_are():
    assert Histogram.of(*[1.0] * 19, 500.0).percentile(95) == pytest.approx(1, rel=0.03)
    assert Histogram.of(*[1.0] * 18, 500.0, 500.0).percentile(95) == pytest.approx(500, rel=0.03)


def test_an_empty_histogram_has_no_percentile():
    assert Histogram().percentile(95) is None


@pytest.fixture
def folder(tmp_path):
    """The records of two processes: a fast page and an error in second 0, slow ones in second 7."""
    for name, milliseconds in (("a", 2.0), ("b", 4.0)):
        (own := tmp_path / name).mkdir()
        recorder = Recorder(time.monotonic() - 1, own)
        recorder.note(endpoints.PAGE, milliseconds / 1000, 0.001, 200)
        recorder.note(endpoints.ENROL, 0.030, 0.001, 500, "status 500")
        recorder.flush()
        recorder.start -= 7
        recorder.note(endpoints.IMAGE_READY, 3.0, 3.0)
        recorder.note(endpoints.PAGE, 0.080, 0.008, 200)
        recorder.flush()
        (file,) = own.iterdir()
        file.rename(tmp_path / f"{name}.jsonl")
    return tmp_path


def test_processes_are_added_within_the_given_seconds(folder):
    records = Records(folder)
    records.read()
    rows = records.between(0, 7)
    assert {title: len(row) for title, row in rows.items()} == {
        "GET /courses?page": 2,
        "POST /enrollments": 2,
    }
    assert rows["GET /courses?page"].response.percentile(100) == pytest.approx(4, rel=0.03)
    assert rows["GET /courses?page"].service.percentile(100) == pytest.approx(1, rel=0.03)
    assert rows["POST /enrollments"].errors == {"status 500": 2}
    assert rows["POST /enrollments"].codes == {"500": 2}


def test_rows_that_are_no_request_are_not_among_all_requests(folder):
    records = Records(folder)
    records.read()
    rows = records.between(7, 8)
    assert len(rows["task image ready after upload"]) == 2
    assert together(rows).response.percentile(100) == pytest.approx(80, rel=0.03)


def test_a_partial_line_is_read_when_it_is_complete(folder):
    records = Records(folder)
    path = folder / "a.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    records.read()
    assert len(records.between(7, 8)["GET /courses?page"]) == 1
    path.write_bytes(whole)
    records.read()
    records.read()
    assert len(records.between(7, 8)["GET /courses?page"]) == 2


def test_the_time_series_has_every_second_even_without_a_response(folder):
    records = Records(folder)
    records.read()
    assert [(second, len(row)) for second, row in records.over_time(0, 9, 3)] == [
        *((0, 4), (3, 0), (6, 2))
    ]
