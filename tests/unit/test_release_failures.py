"""The twelve known failures of other release controllers; this one has none of them."""

from dataclasses import replace

import pytest

from deploy.release.counts import Pair, Totals
from deploy.release.judge import Verdict, judge
from deploy.release.machine import advance
from deploy.release.plan import Limits
from deploy.release.state import Phase
from deploy.release.store import Busy, Store
from tests.releasing import BOUNDS, FAST, Revision, World, empty, nan, run
from tests.unit.test_release_machine import rolled_back, watching


def test_argo_rollouts_4479_all_measurements_fail_and_the_release_is_successful():
    world = World()
    state = watching(world)
    world.has_metrics = False
    rolled_back(world, state, "no usable data for too long: Prometheus does not answer")


def test_argo_rollouts_3850_an_inconclusive_analysis_promotes():
    # The canary gets 900 until the deadline, too few to say that 0.5 % more errors are none.
    world = World(rate=10, canary=Revision(errors=0), stable=Revision(errors=0))
    done = rolled_back(world, None, "the deadline")
    assert [entry.sentence.startswith("holds") for entry in done.history].count(True) >= 2
    assert done.step == 0


@pytest.mark.parametrize("is_silent", [True, False], ids=["no requests", "NaN"])
def test_argo_rollouts_180_and_459_nan_at_zero_traffic_passes(is_silent):
    world = World()
    state = watching(world)
    world.rate, world.spoil = (0, None) if is_silent else (200, nan)
    rolled_back(world, state, "no usable data for too long")


def test_argo_rollouts_1466_an_empty_vector_passes():
    world = World()
    state = watching(world)
    world.spoil = empty
    rolled_back(world, state, "no series of canary")


def test_flagger_1011_traffic_stops_and_the_release_still_advances():
    world = World()
    state = watching(world, seconds=590)
    world.rate = 0
    done = rolled_back(world, state, "too little traffic")
    assert done.step == 0


def test_flagger_30_a_new_revision_inherits_the_progress():
    world = World()
    state = watching(world, step=2)
    world.started = world.now
    rolled_back(world, state, "were started anew, or replaced")
    world = World()
    state = watching(world, step=2)
    world.strangers = ("1.2.0",)
    rolled_back(world, state, "another revision runs: 1.2.0")


def test_argo_rollouts_4841_an_abort_leaves_weight():
    world = World()
    state = watching(world, step=1)
    world.abort, world.applies = "an operator aborts it", False
    for _ in range(5):
        world.pass_time()
        state, order = advance(state, world.observe())
        world.obey(order)
        assert (state.phase, order, world.weight) == (Phase.ROLLING_BACK, 0, 25)
    world.applies = True
    rolled_back(world, state, "an operator")


def test_argo_rollouts_3941_a_rollback_to_instances_that_are_not_ready():
    world = World()
    state = watching(world, step=3)
    world.canary.errors, world.stable.ready = 0.05, 0.0
    end = world.now + 120
    state = run(world, state, until=lambda _: world.now >= end)
    assert (state.phase, world.weight) == (Phase.ROLLING_BACK, 100)
    world.stable.ready = 1.0
    rolled_back(world, state, "errors")


@pytest.mark.parametrize("fault", ["applies", "shows_weight"])
def test_argo_rollouts_701_and_3333_a_weight_is_assumed_to_be_applied(fault):
    world = World()
    state = run(world, until=lambda s: s.phase is Phase.SHIFTING)
    world.weight = 0
    setattr(world, fault, False)
    state = run(world, state, until=lambda s: s.phase is not Phase.SHIFTING)
    assert state.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}
    assert "the router does not apply the weight" in state.reason


def test_argo_rollouts_3333_a_router_says_a_weight_and_gives_another():
    world = World(real_weight=0)
    rolled_back(world, None, "too little traffic")
    world = World(real_weight=1)
    done = rolled_back(world, None, "the deadline")
    assert "requests at 5 %" in done.reason


def test_argo_rollouts_2117_two_leaders(tmp_path):
    with Store(tmp_path).locked(), pytest.raises(Busy, match="process"), Store(tmp_path).locked():
        raise AssertionError


def test_flagger_724_a_canary_that_is_never_ready_stays_in_progress():
    world = World(canary=Revision(ready=0.0))
    done = rolled_back(world, None, "1.1.0 is not ready")
    assert not done.was_shifted
    assert world.now - 1_000_000 < 310


def test_kayenta_6278_and_426_mann_whitney_passes_sparse_errors():
    durations = tuple(6_000 * share for share in FAST)
    good = Totals(114_000, 114, tuple(19 * each for each in durations))
    sparse = Pair(Totals(6_000, 60, durations), good)
    found = judge(sparse, sparse, BOUNDS, 5, Limits())
    assert found.verdict is Verdict.BAD
    assert "errors 60/6000" in found.reason
    healthy = replace(sparse, canary=replace(sparse.canary, errors=6))
    assert judge(healthy, healthy, BOUNDS, 5, Limits()).verdict is Verdict.GOOD
