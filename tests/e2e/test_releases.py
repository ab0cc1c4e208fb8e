"""`enroll release` with real nginx, Prometheus and two versions under load, which are broken.

`make test` has the short forms. `make test-releases` runs all at 5 % and writes the table of
docs/deployment.md.
"""

import asyncio
import json
import os
import signal

import pytest

from deploy.release.state import Phase
from tests import release_stage
from tests.factories import eventually
from tests.release_stage import CANARY, RATE, STABLE, times_of
from tests.release_table import note

pytestmark = pytest.mark.debian

IS_FULL = bool(os.environ.get("RELEASES_REPORT"))
full_only = pytest.mark.skipif(not IS_FULL, reason="make test-releases runs it")
SHORT = {
    "steps": [50, 100],
    "times": {"poll": 0.5, "step": 4, "step_deadline": 90, "start_deadline": 90,
              "shift_deadline": 20, "rollback_deadline": 40, "hold": 60, "stale": 6},
    # A machine that also runs other tests is slow at times.
    "limits": {"errors": 0.05, "tail": 0.1, "latency_floor_seconds": 10},
}  # fmt: skip
FULL = {
    "times": {"poll": 1, "step": 20, "step_deadline": 41, "start_deadline": 20,
              "shift_deadline": 10, "rollback_deadline": 30, "hold": 10, "stale": 4},
    "limits": {"errors": 0.04, "tail": 0.08},
}  # fmt: skip
PLAN = FULL if IS_FULL else SHORT
FIRST_WEIGHT = 5 if IS_FULL else 50


@pytest.fixture(scope="module")
async def made(service, new_database, tmp_path_factory):
    """The stage of all these tests."""
    folder = tmp_path_factory.mktemp("releases")
    async with release_stage.stage(service, folder, await new_database()) as made:
        yield made


@pytest.fixture
async def stage(made):
    """The stage, whole."""
    await made.reset()
    yield made
    made.prometheus.send_signal(signal.SIGCONT)


def is_watching(state, step=0):
    """Return whether a step gets its traffic."""
    return state.phase is Phase.WATCHING and state.step >= step


async def watched(stage, **changes):
    """Start a release, and return its controller when the canary gets its first requests."""
    process = stage.start(stage.plan(**(PLAN | changes)))
    state = await stage.until(process, is_watching)
    assert is_watching(state), stage.log
    return process


async def rolled_back(stage, process, name, reason):
    """Assert that it is rolled back for this reason, and that all clients reach the stable one."""
    state = await stage.ended(process)
    assert process.returncode == 3, stage.log
    assert (state.phase, state.weight) == (Phase.ROLLED_BACK, 0), stage.log
    assert reason in state.reason, stage.log
    detection, rollback = times_of(state)
    note(name, "rolled back", detection, rollback, stage.load)
    versions = await release_stage.versions(stage.load.address)
    assert versions == {STABLE}
    if rollback is not None and reason != "deadline":
        assert rollback < 15
    return state


def assert_little_harm(stage, state):
    """Assert that no more requests failed than those of the canary until it was found."""
    detection, rollback = times_of(state)
    share = FIRST_WEIGHT / 100
    # A busy machine delays requests, too.
    expected = share * RATE * (detection + rollback)
    assert stage.load.errors <= 1.3 * expected + 20, stage.load.seen[:5]


@full_only
async def test_a_healthy_version_is_promoted(stage):
    process = stage.start(stage.plan(**PLAN))
    state = await stage.ended(process, within=300)
    assert (process.returncode, state.phase) == (0, Phase.PROMOTED), stage.log
    assert stage.load.errors == 0, stage.load.seen[:5]
    assert await release_stage.versions(stage.load.address) == {CANARY}
    seconds = state.history[-1].at - state.history[0].at
    note("none: canary", "promoted", seconds, None, stage.load)


@full_only
async def test_a_healthy_version_is_promoted_at_once(stage):
    process = stage.start(stage.plan(**PLAN, strategy="blue-green"))
    state = await stage.ended(process, within=300)
    assert (process.returncode, state.phase) == (0, Phase.PROMOTED), stage.log
    assert stage.load.errors == 0, stage.load.seen[:5]
    seconds = state.history[-1].at - state.history[0].at
    note("none: blue-green", "promoted", seconds, None, stage.load)


@pytest.mark.parametrize(
    ("name", "faults", "reason"),
    [
        ("5 % errors", {"errors": 0.05}, "errors"),
        pytest.param("slow: 30 ms more", {"delay": 0.03}, "s ", marks=full_only),
        pytest.param(
            *("slow tail: 500 ms more for 5 %", {"tail": 0.05, "tail_delay": 0.5}, "longer tail"),
            marks=full_only,
        ),
    ],
)
async def test_a_worse_version_is_taken_back(stage, name, faults, reason):
    # Before the traffic, a request of the checks could fail as well.
    process = await watched(stage)
    stage.break_canary(**faults)
    state = await rolled_back(stage, process, name, reason)
    assert_little_harm(stage, state)


@full_only
async def test_a_version_that_only_fails_gets_nothing(stage):
    stage.break_canary(errors=1)
    process = stage.start(stage.plan(**PLAN))
    state = await rolled_back(stage, process, "only errors", "with 500 on this schema")
    assert not state.was_shifted


@full_only
async def test_only_errors_from_one_moment_on_are_found_at_once(stage):
    process = await watched(stage)
    stage.break_canary(errors=1)
    state = await rolled_back(stage, process, "only errors from one moment on", "errors")
    assert_little_harm(stage, state)


@full_only
async def test_a_worse_version_is_taken_back_from_all_traffic(stage):
    process = stage.start(stage.plan(**PLAN, strategy="blue-green"))
    await stage.until(process, is_watching)
    stage.break_canary(errors=0.05)
    await rolled_back(stage, process, "5 % errors after a blue-green switch", "errors")


async def test_a_version_that_is_dead_at_the_start_gets_nothing(stage):
    dead = {"revision": CANARY, "instances": ["127.0.0.1:1"]}
    plan = PLAN | {"canary": dead, "times": PLAN["times"] | {"start_deadline": 2}}
    process = stage.start(stage.plan(**plan))
    state = await rolled_back(stage, process, "dead at the start", f"{CANARY} is not ready")
    assert not state.was_shifted
    assert stage.load.errors == 0, stage.load.seen[:5]


@full_only
async def test_a_version_that_dies_is_taken_back(stage):
    process = await watched(stage)
    await stage.kill_canary()
    try:
        await rolled_back(stage, process, "dies (SIGKILL)", "no usable data")
        assert stage.load.errors <= 5, stage.load.seen[:5]
    finally:
        await stage.start_canary()


@full_only
async def test_a_new_version_in_the_middle_is_taken_back(stage):
    process = await watched(stage)
    await stage.kill_canary()
    await stage.start_canary("1.2.0")
    try:
        state = await stage.ended(process)
        assert "anew, or replaced" in state.reason or "no usable data" in state.reason, stage.log
        detection, rollback = times_of(state)
        assert (process.returncode, state.phase) == (3, Phase.ROLLED_BACK)
        note("a new version in the middle", "rolled back", detection, rollback, stage.load)
    finally:
        await stage.kill_canary()
        await stage.start_canary()


async def test_without_prometheus_it_is_taken_back(stage):
    process = await watched(stage, times=PLAN["times"] | {"hold": 9})
    stage.prometheus.send_signal(signal.SIGSTOP)
    await rolled_back(stage, process, "Prometheus hangs", "does not answer")
    assert stage.load.errors == 0


@full_only
@pytest.mark.parametrize(
    ("name", "scraping", "reason"),
    [
        ("Prometheus scrapes no more", {"interval": "1h"}, "no usable data"),
        ("empty: no series of the canary", {"targets": {}}, "no series"),
        ("empty: no histogram", {"dropped": "http_request.*"}, "no usable data"),
    ],
)
async def test_without_data_it_is_taken_back(stage, name, scraping, reason):
    process = await watched(stage)
    if scraping.get("targets") == {}:
        scraping = {"targets": {STABLE: stage.targets[STABLE]}}
    stage.scrape(**scraping)
    await rolled_back(stage, process, name, reason)
    assert stage.load.errors == 0


@full_only
async def test_without_traffic_it_is_taken_back(stage):
    process = await watched(stage)
    stage.load.is_silent = True
    await rolled_back(stage, process, "the traffic stops", "too little traffic")


async def test_a_configuration_that_nginx_refuses_is_not_loaded(stage):
    stage.write_nginx("nonsense;")
    plan = PLAN | {"times": PLAN["times"] | {"shift_deadline": 2}}
    process = stage.start(stage.plan(**plan))
    state = await rolled_back(stage, process, "`nginx -t` fails", "unknown directive")
    assert state.history[-1].weight == 0
    assert stage.load.errors == 0


@full_only
async def test_a_rollback_waits_for_a_configuration_that_nginx_takes(stage):
    process = await watched(stage)
    stage.write_nginx("nonsense;")
    state = await stage.until(process, lambda state: state.phase is Phase.ROLLING_BACK, 90)
    assert state.phase is Phase.ROLLING_BACK, stage.log
    await asyncio.sleep(3)
    assert stage.state.phase is Phase.ROLLING_BACK
    stage.write_nginx()
    await rolled_back(stage, process, "`nginx -t` fails at the next step", "unknown directive")


async def workers(stage):
    """Return the running workers by name, each with the queues that it takes tasks of."""
    done = await stage.run("list", "--json", group="workers")
    return {each["name"]: set(each["queues"]) for each in json.loads(done.stdout)}


async def test_a_controller_that_is_killed_at_each_step_goes_on(stage):
    running = await eventually(lambda: workers(stage))
    name = next(name for name in running if name.startswith("images@"))
    stable = {"revision": STABLE, "instances": [stage.stable], "workers": [name]}
    plan = stage.plan(**PLAN, stable=stable)
    process = stage.start(plan)
    killed = set()
    while not (state := await _changed(stage, process, killed)).is_final:
        process.kill()
        process.wait()
        killed.add((state.phase, state.step))
        process = stage.start(plan)
    state = await stage.ended(process)
    assert (process.returncode, state.phase) == (0, Phase.PROMOTED), stage.log
    # The workers of the old version take no more tasks; the others go on.
    assert await workers(stage) == running | {name: set()}
    again = await stage.run("run", plan)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == [
        f"{CANARY} is promoted already",
        f"the workers of {STABLE} have no tasks, and take no more",
    ]
    for queue in running[name]:
        await stage.run("resume", name, "--queue", queue, group="workers")
    assert killed >= {(Phase.WATCHING, 0), (Phase.WATCHING, 1)}
    assert stage.load.errors == 0, stage.load.seen[:5]
    seconds = state.history[-1].at - state.history[0].at
    note(f"the controller is killed {len(killed)} times", "promoted", seconds, None, stage.load)


async def _changed(stage, process, killed):
    """Return the state when it is in a phase in which no controller was killed."""
    return await stage.until(
        process, lambda state: state.is_final or (state.phase, state.step) not in killed, 90
    )


@full_only
async def test_a_controller_that_is_away_for_long_rolls_back(stage):
    process = await watched(stage)
    process.kill()
    process.wait()
    await asyncio.sleep(PLAN["times"]["hold"] + 1)
    process = stage.start(stage.plan(**PLAN))
    await rolled_back(stage, process, "the controller is killed, and away", "was away")


@full_only
async def test_a_controller_that_is_killed_in_a_rollback_goes_on(stage):
    process = await watched(stage)
    stage.write_nginx("nonsense;")
    stage.break_canary(errors=0.3)
    await stage.until(process, lambda state: state.phase is Phase.ROLLING_BACK, 90)
    process.kill()
    process.wait()
    stage.write_nginx()
    process = stage.start(stage.plan(**PLAN))
    await rolled_back(stage, process, "the controller is killed in the rollback", "errors")


async def test_operators_abort_by_a_command_and_by_a_signal(stage):
    # A step outlasts both commands.
    process = await watched(stage, times=PLAN["times"] | {"step": 20, "step_deadline": 41})
    busy = await stage.run("run", stage.plan(**PLAN))
    assert (busy.returncode, "controls the release" in busy.stderr) == (1, True)
    if IS_FULL:
        aborted = await stage.run("abort", stage.folder / "release")
        assert aborted.returncode == 3, aborted.stderr
    else:
        process.terminate()
    await rolled_back(stage, process, "an operator aborts", "an operator")
    shown = await stage.run("status", stage.folder / "release")
    assert "rolled back" in shown.stdout


@full_only
async def test_an_abort_without_a_controller_rolls_back(stage):
    process = await watched(stage)
    process.kill()
    process.wait()
    aborted = await stage.run("abort", stage.folder / "release")
    assert aborted.returncode == 3, aborted.stderr
    assert await release_stage.versions(stage.load.address) == {STABLE}
