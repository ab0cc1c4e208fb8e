"""The benchmark's verdicts: errors are not requests, and the worst round counts where required."""

import pytest

from loadtests.bench import load
from loadtests.bench.compare import growth, hot_course, report
from loadtests.bench.compare.cases import (
    AIMS,
    OUR_CORE,
    OUR_CORES,
    OUR_LIST,
    OUR_NORMAL,
    OUR_NORMAL_TWO,
    OUR_TWO,
)
from loadtests.bench.compare.hot_course import HotCourse
from loadtests.bench.load import Figures

LIST_OF_BARE = AIMS[0]
TWO = next(aim for aim in AIMS if aim.case == OUR_TWO and aim.every_round)


def figures(*rates: float, errors: int = 0) -> list[Figures]:
    return [Figures(rate, 1, 2, 3, 4, errors, {}) for rate in rates]


def verdict_on(aim, measured) -> str:
    lines = report.aims(measured).splitlines()
    (line,) = (line for line in lines if line.startswith(f"| {aim.text} |"))
    return line.split("|")[-2].strip()


@pytest.mark.parametrize(("rate", "verdict"), [(850, "met"), (849, "missed")])
def test_an_aim_is_judged_by_the_medians(rate, verdict):
    measured = {
        LIST_OF_BARE.case: figures(1, rate, 9000),
        LIST_OF_BARE.base: figures(1000, 1000, 1000),
    }
    assert verdict_on(LIST_OF_BARE, measured) == verdict


def test_two_processes_are_judged_by_the_worst_round():
    measured = {TWO.case: figures(200, 149, 200), TWO.base: figures(100, 100, 100)}
    assert verdict_on(TWO, measured) == "missed"
    assert "1.5 in every round | 2.00 | 1.49" in report.aims(measured)
    assert verdict_on(TWO, measured | {TWO.case: figures(200, 150, 200)}) == "met"


def test_two_processes_need_every_round():
    assert {(aim.case, aim.base, aim.at_least) for aim in AIMS if aim.every_round} == {
        (OUR_TWO, OUR_LIST, 1.5),
        (OUR_NORMAL_TWO, OUR_NORMAL, 1.5),
        (OUR_CORES, OUR_CORE, 1.5),
    }


@pytest.mark.parametrize("who", [LIST_OF_BARE.case, LIST_OF_BARE.base])
def test_an_aim_with_errors_is_missed(who):
    measured = {LIST_OF_BARE.case: figures(1000), LIST_OF_BARE.base: figures(1000)}
    measured[who] = figures(1000, errors=3)
    assert verdict_on(LIST_OF_BARE, measured) == "missed (3 errors)"


def test_an_unmeasured_aim_has_no_verdict():
    assert f"| {LIST_OF_BARE.text} | 0.85 | not measured | | |" in report.aims({})


@pytest.mark.parametrize(("errors", "rightly"), [(0, 100), (30, 70), (130, 0)])
def test_errors_are_not_counted_as_requests(errors, rightly):
    assert load.answered_rightly({"requests": 100, "errors": errors}) == rightly


def hot(rate=2000.0, errors=0, slower=2.0, failed=0) -> str:
    found = HotCourse(*figures(rate, errors=errors), {"health": (1.0, slower)}, failed)
    return hot_course.table(found)


def test_a_hot_course_is_met_or_missed():
    assert "(aim: 2,000; met)" in hot()
    assert "| met |" in hot()
    assert "(aim: 2,000; missed)" in hot(rate=1999)
    assert "| missed |" in hot(slower=2.1)


def test_a_hot_course_that_refuses_clients_has_no_verdict():
    assert "(aim: 2,000; missed (1 error))" in hot(errors=1)
    assert "| missed (1 error) |" in hot(errors=1)
    assert "| missed (2 errors) |" in hot(failed=2)


def grown(errors: int = 0, **slow: float) -> str:
    sizes = ("small", "large")
    measured = {
        size: {
            f"{case}, {size}": figures(
                100 / (slow.get("by", 1) if size == "large" else 1),
                errors=errors if size == "large" else 0,
            )
            for case in growth.CASES
        }
        for size in sizes
    }
    return growth.table(growth.rates(measured), growth.errors(measured))


def test_growth_is_met_or_missed():
    assert f"| {growth.PAGE} | 100 | 50 | 2.00 | 2.0 | met |" in grown(by=2.0)
    assert f"| {growth.DEEP_PAGE} | 100 | 48 | 2.10 | 2.0 | missed |" in grown(by=2.1)
    assert f"| {growth.CACHED_LIST} | 100 | 77 | 1.30 | 1.2 | missed |" in grown(by=1.3)
    assert f"| {growth.ENROLMENT} | 100 | 10 | 10.00 | no aim |  |" in grown(by=10)


def test_growth_with_errors_is_missed():
    assert grown(errors=1).count("missed (1 error)") == len(growth.CASES)
