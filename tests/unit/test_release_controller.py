"""The controller rolls back when it fails itself, keeps what it decides, and repeats no order."""

import errno

import pytest

from deploy.release.controller import Controller, Unfinished
from deploy.release.controller import World as Ports
from deploy.release.plan import Track
from deploy.release.ports import MetricsFault, RouterFault
from deploy.release.state import Phase
from deploy.release.store import Store
from tests.releasing import World, plan


class Simulated:
    """The world of the machine's tests as router, metrics and clock."""

    def __init__(self, folder, world=None):
        self.world = world or World()
        self.store = Store(folder / "release")
        self.orders, self.told = [], []
        self.store.folder.mkdir()
        self.refusal, self.fails_at = "", None
        ports = Ports(self, self, lambda: self.refusal, self.told.append, self.clock, self.sleep)
        self.controller = Controller(self.store, ports)

    def clock(self):
        return self.world.now

    def sleep(self, seconds):
        self.world.pass_time(seconds)

    def set_weight(self, weight):
        self.orders.append(weight)
        if not self.world.applies:
            raise RouterFault("nginx -t failed")
        self.world.weight = weight

    def weight(self):
        return self.world.weight

    def ready(self, track):
        return self.world.canary.ready if track is Track.CANARY else self.world.stable.ready

    def read(self):
        if self.fails_at is not None and self.world.now >= self.fails_at:
            raise ValueError("a fault of ours")
        seen = self.world.observe()
        if seen.reading is None:
            raise MetricsFault(seen.fault)
        return seen.reading

    def run(self, **changes):
        with self.store.locked():
            return self.controller.run(self.controller.begin(plan(**changes)))


@pytest.fixture
def simulated(tmp_path):
    return Simulated(tmp_path)


def test_a_healthy_canary_is_promoted_and_each_weight_is_ordered_once(simulated):
    done = simulated.run()
    assert (done.phase, simulated.orders) == (Phase.PROMOTED, [0, 5, 25, 50, 100])
    assert simulated.store.read() == done
    assert tuple(simulated.told) == done.history


def test_a_fault_of_the_controller_rolls_back(simulated):
    simulated.fails_at = simulated.world.now + 100
    done = simulated.run()
    assert (done.phase, simulated.world.weight) == (Phase.ROLLED_BACK, 0)
    assert done.reason == "the controller failed: ValueError('a fault of ours')"
    assert simulated.world.now - simulated.fails_at < 5


def test_a_full_disk_rolls_back(simulated, monkeypatch):
    write, full_at = simulated.store.write, simulated.world.now + 100

    def fill(state):
        if simulated.world.now >= full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(state)

    monkeypatch.setattr(simulated.store, "write", fill)
    done = simulated.run()
    assert (done.phase, simulated.world.weight) == (Phase.ROLLED_BACK, 0)
    assert "No space left" in done.reason


def test_revisions_that_do_not_go_together_get_no_request(simulated):
    simulated.refusal = "1.1.0 has no $.title"
    done = simulated.run()
    assert (done.phase, done.reason, simulated.orders) == (
        Phase.ROLLED_BACK, "1.1.0 has no $.title", [],
    )  # fmt: skip


def test_an_order_that_is_not_taken_is_repeated_every_two_seconds(simulated):
    simulated.world.applies = False
    done = simulated.run(times={"start_deadline": 20})
    assert "nginx -t failed" in done.reason
    assert 8 <= len(simulated.orders) <= 11


def test_another_release_waits_for_the_end_of_this_one(simulated):
    simulated.controller.begin(plan())
    with pytest.raises(Unfinished, match=r"release of 1\.1\.0 has not ended"):
        simulated.controller.begin(plan(canary={"revision": "2", "instances": ["a:1"]}))
    assert simulated.controller.begin(plan()).phase is Phase.PREPARING


def test_an_operators_wish_ends_the_wait(simulated):
    state = simulated.controller.begin(plan())
    while state.phase is not Phase.WATCHING:
        state = simulated.controller.run_once(state)
        simulated.sleep(1)
    simulated.store.want_abort()
    began = simulated.world.now
    done = simulated.controller.run(state)
    assert (done.phase, simulated.world.weight) == (Phase.ROLLED_BACK, 0)
    assert simulated.world.now - began < 1
