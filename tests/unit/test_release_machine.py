"""The state machine of releases: it ends, promotes on fresh data only, and rolls back for sure."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.release import store
from deploy.release.machine import advance
from deploy.release.state import Observation, Phase, State
from tests.releasing import (
    SLOW,
    TAIL,
    Revision,
    World,
    empty,
    nan,
    plan,
    run,
    with_fewer_buckets,
    without_histogram,
)

ROOT = Path(__file__).parents[2]
PURE = {"machine", "evidence", "judge", "counts", "statistics", "state"}
MODULES = {"bisect", "collections.abc", "dataclasses", "enum", "math", "typing",
           "pydantic", "pydantic.dataclasses",
           *(f"deploy.release.{name}" for name in (*PURE, "plan"))}  # fmt: skip
BLUE_GREEN = {"strategy": "blue-green"}
QUICK = {
    "poll": 1, "step": 20, "step_deadline": 60, "start_deadline": 30, "shift_deadline": 10,
    "rollback_deadline": 30, "hold": 10, "stale": 5,
}  # fmt: skip


def at_step(number):
    """Return whether a state watches this step."""
    return lambda state: state.phase is Phase.WATCHING and state.step == number


def watching(world, step=0, seconds=60, **changes):
    """Return a state that has watched a step for some time."""
    state = run(world, until=at_step(step), **changes)
    end = world.now + seconds
    return run(world, state, until=lambda _: world.now >= end)


def rolled_back(world, state, reason):
    """The machine rolls back, and says why."""
    done = run(world, state)
    assert (done.phase, world.weight) == (Phase.ROLLED_BACK, 0), done.reason
    assert reason in done.reason
    return done


def test_a_healthy_canary_passes_all_steps_and_is_promoted():
    world = World()
    done = run(world)
    assert (done.phase, world.weight) == (Phase.PROMOTED, 100), done.reason
    shifted = [entry.weight for entry in done.history if entry.phase is Phase.SHIFTING]
    assert shifted == [5, 25, 50, 100]
    assert 2400 <= world.now - 1_000_000 < 2500


def test_blue_green_measures_the_stable_revision_and_then_switches_at_once():
    world = World()
    done = run(world, **BLUE_GREEN)
    assert (done.phase, world.weight) == (Phase.PROMOTED, 100), done.reason
    phases = [entry.phase for entry in done.history]
    assert phases[1:4] == [Phase.MEASURING, Phase.SHIFTING, Phase.WATCHING]


@pytest.mark.parametrize("changes", [{}, BLUE_GREEN], ids=["canary", "blue-green"])
@pytest.mark.parametrize(
    ("broken", "reason"),
    [(Revision(errors=0.05), "errors"), (Revision(errors=1.0), "errors"),
     (Revision(durations=SLOW), "slower"), (Revision(durations=TAIL), "longer tail")],
    ids=["5 % errors", "all errors", "slow", "slow tail"],
)  # fmt: skip
def test_a_worse_canary_is_taken_back(broken, reason, changes):
    world = World(canary=broken)
    done = run(world, **changes)
    assert (done.phase, world.weight) == (Phase.ROLLED_BACK, 0)
    assert reason in done.reason
    assert done.step == 0


def test_errors_that_begin_at_full_weight_are_found():
    world = World()
    state = watching(world, step=3)
    world.canary.errors = 0.05
    began = world.now
    rolled_back(world, state, "errors")
    assert world.now - began < 20


def test_errors_that_begin_late_in_a_step_are_found_as_soon_as_early_ones():
    world = World()
    times = {"step": 3600, "step_deadline": 7200}
    state = watching(world, seconds=3400, times=times)
    world.canary.errors = 0.05
    began = world.now
    rolled_back(world, state, "errors")
    assert world.now - began <= 24


def test_errors_of_both_revisions_do_not_abort_and_do_not_promote():
    world = World(canary=Revision(errors=0.3), stable=Revision(errors=0.3))
    done = rolled_back(world, None, "deadline")
    assert "may be" in done.reason


def test_a_restart_of_the_stable_revision_is_no_fault():
    world = World()
    state = watching(world)
    world.stable.counted = Revision().counted
    assert run(world, state).phase is Phase.PROMOTED


def test_a_router_that_gives_the_canary_too_much_is_found_at_once():
    world = World(real_weight=60)
    began = world.now
    rolled_back(world, None, "in place of 5 %")
    assert world.now - began < 60


def test_a_weight_that_another_one_sets_ends_the_release():
    world = World()
    state = watching(world)
    world.weight = 50
    rolled_back(world, state, "a weight of 50 %")


def test_an_operator_aborts_in_every_phase():
    for step in range(4):
        world = World()
        state = watching(world, step)
        world.abort = "an operator aborts it"
        rolled_back(world, state, "an operator")


def test_a_controller_that_was_away_for_long_rolls_back():
    world = World()
    state = watching(world)
    world.pass_time(59)
    state, _ = advance(state, world.observe())
    assert state.phase is Phase.WATCHING
    world.pass_time(61)
    rolled_back(world, advance(state, world.observe())[0], "was away for 61 s")


def test_stale_data_is_none():
    world = World()
    state = watching(world)
    world.age = 16
    rolled_back(world, state, "the newest data is 16 s old")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(without_histogram, "the buckets have changed"), (with_fewer_buckets, "have changed")],
)
@pytest.mark.parametrize("step", [0, 3])
def test_other_buckets_in_the_middle_are_no_data(spoil, reason, step):
    world = World()
    state = watching(world, step)
    world.spoil = spoil
    rolled_back(world, state, reason)


def test_without_a_histogram_it_does_not_begin():
    assert not rolled_back(World(spoil=without_histogram), None, "no metrics").was_shifted


def test_a_rollback_is_two_ticks():
    world = World()
    state = watching(world)
    world.abort = "an operator aborts it"
    state, order = advance(state, world.observe())
    assert (state.phase, order) == (Phase.ROLLING_BACK, 0)
    world.obey(order)
    state, order = advance(state, world.observe())
    assert (state.phase, order) == (Phase.ROLLED_BACK, None)


def test_a_rollback_that_the_router_never_shows_is_stuck_and_says_so():
    world = World()
    state = watching(world)
    world.canary.errors, world.applies = 0.5, False
    done = run(world, state)
    assert (done.phase, done.was_shifted) == (Phase.STUCK, True)


def test_a_release_that_never_began_ends_without_the_router():
    world = World(stable=Revision(ready=None), applies=False)
    done = run(world)
    assert (done.phase, done.was_shifted) == (Phase.ROLLED_BACK, False)


def test_a_clock_that_is_set_back_neither_ends_nor_promotes():
    world = World()
    state = watching(world)
    world.now -= 3600
    assert run(world, state, ticks=400, until=lambda s: s.at < world.now + 2900).step == 0
    assert state.phase is Phase.WATCHING


def test_a_state_survives_its_file_at_every_tick(tmp_path):
    world, other = World(), World()
    path = tmp_path / "state.json"
    state = kept = State.new(plan(times=QUICK, limits={"errors": 0.1, "tail": 0.2}), world.now)
    while not state.is_final:
        for each in (world, other):
            each.pass_time(1)
        state, order = advance(state, world.observe())
        world.obey(order)
        store.write(path, kept)
        kept, order = advance(store.read(path), other.observe())
        other.obey(order)
        assert kept == state
    assert state.phase is Phase.PROMOTED


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_decides_does_no_io(name):
    tree = ast.parse((ROOT / "deploy" / "release" / f"{name}.py").read_text("utf-8"))
    imports = [each for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom)]
    found = {getattr(each, "module", None) or each.names[0].name for each in imports}
    assert found <= MODULES
    calls = {getattr(each.func, "id", "") for each in ast.walk(tree) if isinstance(each, ast.Call)}
    assert not calls & {"open", "print", "__import__", "exec", "eval"}


FAULTY = {"nan": nan, "empty": empty, "buckets": without_histogram}


class Chaos:
    """Applies random faults, and knows what must never be."""

    FAULTS = ("none", "metrics", "nan", "empty", "stale", "negative", "router", "blind", "canary",
              "stable", "errors", "silence", "buckets")  # fmt: skip

    def __init__(self):
        self.world = World(rate=400)
        limits = {"errors": 0.05, "tail": 0.1}
        self.state = State.new(plan(times=QUICK, limits=limits), self.world.now)

    def tick(self, fault, seconds):
        world = self.world
        world.has_metrics = fault != "metrics"
        world.spoil = FAULTY.get(fault)
        world.age = {"stale": 99.0, "negative": -1.0}.get(fault, 1.0)
        world.applies, world.shows_weight = fault != "router", fault != "blind"
        world.canary.ready = 0.5 if fault == "canary" else 1.0
        world.stable.ready = 0.0 if fault == "stable" else 1.0
        world.canary.errors = 0.5 if fault == "errors" else 0.001
        world.rate = 0 if fault == "silence" else 400
        world.pass_time(seconds)
        before = self.state
        self.state, order = advance(before, seen := world.observe())
        self.check(before, seen, order, fault)
        world.obey(order)

    def check(self, before, seen, order, fault):
        after = self.state
        if before.is_final:
            assert after == before
            return
        if after.phase is Phase.PROMOTED or (order or 0) > before.weight:
            # The first step needs metrics, but no requests.
            first = {"silence"} if before.phase is Phase.PREPARING else {"stable"}
            assert fault in {"none", "router", "errors"} | first, "it advanced without data"
            assert before.phase in {Phase.WATCHING, Phase.PREPARING}
        if after.phase is Phase.ROLLED_BACK:
            assert seen.weight == 0 or not after.was_shifted
        if after.phase is Phase.ROLLING_BACK and order == 0:
            assert (seen.stable_ready or 0) >= 0.5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Chaos.FAULTS), st.sampled_from((0.5, 1, 3, 12)), st.integers(1, 25)
        ),
        max_size=30,
    ),
    st.sampled_from(Chaos.FAULTS),
)
def test_in_every_order_it_ends_and_never_promotes_on_missing_data(script, last):
    chaos = Chaos()
    for fault, seconds, times in script:
        for _ in range(times):
            chaos.tick(fault, seconds)
    for _ in range(600):
        chaos.tick(last, 1)
    assert chaos.state.is_final, chaos.state.phase
    if last in {"none", "errors", "silence"} and chaos.state.phase is Phase.STUCK:
        assert any(fault in {"router", "blind", "stable"} for fault, *_ in script)


@given(st.builds(Observation, st.floats(0, 2e6), st.sampled_from((None, 0, 5)), st.none()))
def test_a_final_state_stays(seen):
    for phase in (Phase.PROMOTED, Phase.ROLLED_BACK, Phase.STUCK):
        state = replace(State.new(plan(), 0), phase=phase)
        assert advance(state, seen) == (state, None)
