"""The load tests' verdicts: a missed or unmeasured target is never met."""

import pytest

from deploy.observe.slo import spec
from deploy.observe.slo.spec import SloError
from loadtests.load import endpoints, measures, slo, watch
from loadtests.load.exposition import Reading
from loadtests.load.histogram import Histogram
from loadtests.load.measures import Ramp
from loadtests.load.records import Row
from loadtests.load.report import verdict_table
from loadtests.load.shapes import SHAPES, Shape, Step
from loadtests.load.slo import Outcome, Target

P95 = {"name": "P95", "measure": "p95", "below": 15, "shapes": ["sustained"]}


def rows(milliseconds: float, count: int = 100, errors: int = 0) -> dict[str, Row]:
    row = Row(Histogram.of(*[milliseconds] * count), Histogram.of(*[0.5] * count))
    row.errors.update({"status 500": errors} if errors else {})
    return {"GET /courses?page": row}


@pytest.mark.parametrize(
    ("relation", "bound", "met", "missed"),
    [
        ("below", 15, 14.99, 15),
        ("above", 0.99, 0.991, 0.99),
        ("at_most", 0, 0, 0.0001),
        ("at_least", 0.98, 0.98, 0.979),
    ],
)
def test_a_bound_is_met_or_missed(relation, bound, met, missed):
    target = Target.of({"name": "x", "measure": "p95", "shapes": ["peak"], relation: bound})
    assert target.outcome(met) is Outcome.MET
    assert target.outcome(missed) is Outcome.MISSED
    assert target.outcome(None) is Outcome.NOT_MEASURED


def test_only_the_targets_of_the_shape_are_judged():
    targets = [Target.of(P95), Target.of({**P95, "name": "other", "shapes": ["peak"]})]
    (verdict,) = slo.judge(targets, "sustained", {("p95", ""): 3.0})
    assert (verdict.target.name, verdict.outcome) == ("P95", Outcome.MET)


def test_an_unmeasured_target_fails_the_run():
    target = Target.of(
        {"name": "hits", "measure": "hit_ratio", "above": 0.99, "shapes": ["sustained"]}
    )
    verdicts = slo.judge([target, Target.of(P95)], "sustained", {("p95", ""): 3.0})
    assert [each.outcome for each in verdicts] == [Outcome.NOT_MEASURED, Outcome.MET]
    assert not slo.are_met(verdicts)
    assert "NOT MEASURED" in verdict_table(verdicts)


def test_no_targets_are_an_error():
    assert not slo.are_met([])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"below": None}, "one of below, above"),
        ({"above": 3}, "one of below, above"),
        ({"measure": "p96"}, "no measure 'p96'"),
        ({"endpoint": "GET /nowhere"}, "no endpoint 'GET /nowhere'"),
        ({"shapes": ["sustaned"]}, "no shape sustaned"),
        ({"shape": "peak"}, "shape"),
    ],
)
def test_an_error_in_the_file_is_reported(fault, message):
    data = {key: value for key, value in (P95 | fault).items() if value is not None}
    with pytest.raises(SloError, match=message):
        Target.of(data)


def test_an_unreadable_file_is_named(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("[[target]")
    with pytest.raises(SloError, match=r"own\.toml"):
        slo.load(path)


def test_each_objective_that_a_client_sees_is_judged():
    unseen = {
        *("database-availability", "database-100ms"),
        *("images-availability", "cache-availability"),
    }
    assert slo.OBJECTIVES.keys() == {each.name for each in spec.load().slos} - unseen


def test_the_files_of_the_repository_have_targets_for_every_shape():
    targets = slo.load()
    for shape in SHAPES:
        assert any(shape in target.shapes for target in targets), shape
    aims = {(t.measure, t.endpoint, t.relation, t.bound) for t in targets if "peak" in t.shapes}
    assert {
        ("p95", "", "below", 30),
        ("p99", "", "below", 150),
        ("p95", "GET image", "below", 50),
        ("errors", "", "at_most", 0),
        ("hit_ratio", "", "above", 0.99),
    } <= aims


REQUESTED = ("sustained", "peak", "spike", "soak")


@pytest.mark.parametrize(
    ("target", "shapes"),
    [
        (("p95", "", "below", 15), ("sustained",)),
        (("p95", "", "below", 30), ("peak", slo.STEP)),
        (("p99", "", "below", 150), ("smoke", *REQUESTED, slo.STEP)),
        (("p95", "GET image", "below", 50), ("smoke", *REQUESTED, slo.STEP)),
        (("errors", "", "at_most", 0), ("smoke", *REQUESTED, slo.STEP)),
        (("hit_ratio", "", "above", 0.99), ("sustained", "peak", "soak")),
        (("knee", "", "above", 4000), ("break",)),
        (("memory_growth", "", "below", 0.05), ("soak",)),
        (("errors", endpoints.IMAGE_READY.title, "at_most", 0), ("smoke", *REQUESTED)),
        (("task_lag", "", "below", 5), ("smoke", *REQUESTED)),
        (("p95", "", "below", 300), ("smoke", *REQUESTED, slo.STEP)),
        (("p99", "", "below", 1000), ("smoke", *REQUESTED, slo.STEP)),
        (("p95", "GET image", "below", 200), ("smoke", *REQUESTED, slo.STEP)),
        (("errors", "", "at_most", 0.001), ("smoke", *REQUESTED, slo.STEP)),
        (("errors", "GET /courses?page", "at_most", 0.0005), ("smoke", *REQUESTED, slo.STEP)),
        (("hit_ratio", "", "above", 0.85), ("sustained", "peak", "soak")),
        (("errors", endpoints.IMAGE_READY.title, "at_most", 0.001), ("smoke", *REQUESTED)),
        (("pool_use", "", "below", 0.8), ("sustained", "peak", "soak")),
        (("pool_waiting", "", "at_most", 0), ("sustained", "peak", "soak")),
    ],
)
def test_the_files_of_the_repository_keep_the_required_bounds(target, shapes):
    found = {
        shape
        for each in slo.load()
        if (each.measure, each.endpoint, each.relation, each.bound) == target
        for shape in each.shapes
    }
    assert found >= set(shapes)


IMAGES = endpoints.IMAGE_READY.title


@pytest.mark.parametrize(
    ("tasks", "outcome"),
    [
        ({}, Outcome.NOT_MEASURED),
        ({IMAGES: (3, 0)}, Outcome.MET),
        ({IMAGES: (3, 1)}, Outcome.MISSED),
        ({IMAGES: (3, 3)}, Outcome.MISSED),
    ],
)
def test_images_that_are_never_ready_fail_the_run(tasks, outcome):
    seen = rows(1.0)
    for title, (count, errors) in tasks.items():
        seen[title] = Row(Histogram.of(*[300.0] * count), Histogram.of(*[300.0] * count))
        seen[title].errors.update({"task failed": errors} if errors else {})
    found = measures.of_rows(seen, due=100)
    assert found["errors", ""] == 0
    verdicts = [v for v in slo.judge(slo.load(), "smoke", found) if v.target.endpoint == IMAGES]
    assert [verdict.outcome for verdict in verdicts] == [outcome, outcome]


POOL = """
database_pool_size{{pid="1"}} 10
database_pool_size{{pid="2"}} 10
database_pool_in_use{{pid="1"}} {first}
database_pool_in_use{{pid="2"}} 6
database_pool_waiting{{pid="1"}} 0
"""


@pytest.mark.parametrize(("first", "met"), [(9, Outcome.MET), (10, Outcome.MISSED)])
def test_the_pool_is_judged_by_its_busiest_reading(first, met):
    texts = (POOL.format(first=0), POOL.format(first=first), POOL.format(first=0))
    found = measures.of_service([Reading.of(text) for text in texts])
    assert found["pool_use", ""] == pytest.approx((first + 6) / 20)
    verdicts = slo.judge(slo.load(), "sustained", found)
    (use,) = (each for each in verdicts if each.target.measure == "pool_use")
    assert use.outcome is met


def test_an_unmeasured_pool_does_not_count_as_idle():
    assert measures.of_service([Reading.of("")])["pool_use", ""] is None


def test_a_bound_that_is_just_missed_is_not_rounded_to_met():
    assert slo.show("errors", 1 / 300_000) == "0.00033 %"
    assert slo.show("hit_ratio", 0.98999) == "98.999 %"
    assert slo.show("p95", 15.002) == "15.002 ms"
    assert slo.show("knee", 4000) == "4,000 RPS"
    assert slo.show("p95", None) == "—"


def test_latency_is_measured_from_the_scheduled_time():
    found = measures.of_rows(rows(40.0), due=100)
    assert found["p95", ""] == pytest.approx(40, rel=0.03)
    assert found["p95", "GET /courses?page"] == pytest.approx(40, rel=0.03)


def test_errors_and_unanswered_requests_are_ratios():
    found = measures.of_rows(rows(1.0, count=50, errors=1), due=100)
    assert found["errors", ""] == pytest.approx(0.02)
    assert found["answered", ""] == pytest.approx(0.5)


def test_no_responses_do_not_count_as_no_errors():
    found = measures.of_rows({}, due=100)
    assert found["errors", ""] is None
    assert found["p95", ""] is None
    assert found["answered", ""] == 0


class StepRecords:
    """Records with the response time of each step."""

    def __init__(self, *milliseconds: float) -> None:
        self._milliseconds = milliseconds

    def between(self, start: float, _end: float) -> dict[str, Row]:
        return rows(self._milliseconds[int(start // 10)], count=1000)


def ramp(warm_up: float = 0) -> Ramp:
    steps = tuple(Step(10, requests, 0.001) for requests in (100, 100.1, 100.2, 100.3))
    target = Target.of({**P95, "shapes": ["step"]})
    return Ramp(Shape(steps, 1, 1, warm_up=warm_up, until_broken=True), [target])


@pytest.mark.parametrize(
    ("milliseconds", "knee", "stops"),
    [
        ((1, 1, 40, 40), 100.1, True),
        ((1, 40, 1, 1), 100.3, False),  # one bad step alone may have another cause
        ((40, 40, 1, 1), 0.0, True),
        ((1, 1, 1, 1), 100.3, False),
    ],
)
def test_the_knee_is_the_last_step_before_two_that_failed(milliseconds, knee, stops):
    found = ramp()
    stopped = [found.judge_until(second, StepRecords(*milliseconds)) for second in range(5, 46, 10)]
    assert any(stopped) is stops
    assert found.knee == pytest.approx(knee, abs=0.01)


def test_steps_of_the_warm_up_are_not_judged():
    found = ramp(warm_up=20)
    assert not any(found.judge_until(second, StepRecords(40, 40, 1, 40)) for second in (25, 35, 45))
    assert [step.requests for step in found.steps] == pytest.approx([100.2, 100.3], abs=0.01)
    assert found.knee == pytest.approx(100.2, abs=0.01)


def test_there_is_no_knee_before_the_first_step_ends():
    found = ramp()
    assert not found.judge_until(9, StepRecords(40, 40, 40, 40))
    assert found.knee is None


def test_memory_growth_is_that_of_the_api_and_the_workers():
    memory = {"api": (100.0, 104.0), "worker": (100.0, 102.0), "PostgreSQL": (50.0, 500.0)}
    assert watch.growth(memory) == pytest.approx(0.03)
    assert watch.growth({"PostgreSQL": (50.0, 50.0)}) is None


@pytest.mark.parametrize(
    ("command", "parent", "part"),
    [
        (["/x/locust/bin/python", "-m", "cli", "api"], "other", "api"),
        (["/x/bin/python", "-c", "from multiprocessing.spawn import …"], "api", "api"),
        (["/x/pginstall/bin/postgres", "-D", "/x"], "other", "PostgreSQL"),
        (["postgres: checkpointer "], "PostgreSQL", "PostgreSQL"),
        (["/x/weed", "mini"], "other", "S3"),
        (["/x/bin/valkey-server 127.0.0.1:28800"], "other", "Redis"),
        (["/x/bin/python", "-m", "locust", "--headless"], "other", "Locust"),
        ([], "worker", "worker"),
    ],
)
def test_a_process_is_classified_by_its_program_or_its_parent(command, parent, part):
    assert watch.part_of(command, parent) == part
