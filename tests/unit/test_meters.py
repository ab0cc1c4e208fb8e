"""Metrics of several processes are added, bounded, and not lost while the reader is busy."""

import copy
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from infra.observability import metrics, task_metrics
from infra.observability.meters import (
    OTHER,
    Age,
    Counter,
    Gauge,
    Histogram,
    Instance,
    LabelValues,
    Meter,
)
from infra.observability.totals import Totals, open_channel, send_changes

# The labels whose values operators choose while the program runs, and how many are kept.
OPERATORS_NAMES = {
    "feature_flag_exposures_total flag": metrics.MAX_FLAGS,
    "feature_flag_exposures_total variant": metrics.MAX_VARIANTS,
}


@pytest.fixture
def declared(monkeypatch):
    """Metrics of the test's own only."""
    monkeypatch.setattr(Meter, "declared", {})


@pytest.fixture
def wire():
    receiver, sender = open_channel()
    with receiver, sender:
        yield receiver, sender


def received(receiver, totals):
    try:
        while True:
            totals.add(receiver.recv(1 << 20))
    except BlockingIOError:
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in totals.collect()
            for sample in family.samples
        }


@pytest.mark.usefixtures("declared")
def test_a_count_arrives_once(wire):
    receiver, sender = wire
    counter = Counter("things_total", "Things.", kind=LabelValues("a", "b"))
    plain = Counter("others_total", "Others.")
    totals = Totals(Instance.API)
    assert received(receiver, totals) == {
        ("things_total", "a"): 0, ("things_total", "b"): 0, ("others_total",): 0,
    }  # fmt: skip
    for _ in range(3):
        counter.inc(labels=("a",))
        send_changes(sender)
    plain.inc(2.5)
    send_changes(sender)
    send_changes(sender)
    assert received(receiver, totals) == {
        ("things_total", "a"): 3, ("things_total", "b"): 0, ("others_total",): 2.5,
    }  # fmt: skip


@pytest.mark.usefixtures("declared")
def test_a_busy_reader_gets_all_counts_later(wire):
    receiver, sender = wire
    counter = Counter("things_total", "Things.")
    totals, tries = Totals(Instance.API), 0
    with pytest.raises(BlockingIOError):
        while tries < 100_000:
            tries += 1
            counter.inc()
            send_changes(sender)
    counter.inc()
    received(receiver, totals)
    send_changes(sender)
    assert received(receiver, totals) == {("things_total",): tries + 1}


@pytest.mark.usefixtures("declared")
def test_a_histogram_is_cumulative(wire):
    receiver, sender = wire
    histogram = Histogram("seconds", "Seconds.", (0.1, 1.0), route=LabelValues("/"))
    totals = Totals(Instance.API)
    for value in (0.1, 0.5, 3.0):
        histogram.observe(value, ("/",))
    send_changes(sender)
    assert received(receiver, totals) == {
        ("seconds_bucket", "/", "0.1"): 1,
        ("seconds_bucket", "/", "1.0"): 2,
        ("seconds_bucket", "/", "+Inf"): 3,
        ("seconds_count", "/"): 3,
        ("seconds_sum", "/"): pytest.approx(3.6),
    }


@pytest.mark.usefixtures("declared")
def test_a_gauge_is_the_sum_over_living_processes(wire, monkeypatch):
    receiver, sender = wire
    gauge = Gauge("level", "Level.")
    totals = Totals(Instance.API)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for pid, level in ((os.getpid(), 2), (other.pid, 5), (os.getpid(), 3)):
            monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
            gauge.set(level)
            send_changes(sender)
        assert received(receiver, totals) == {("level",): 8}
        other.communicate(b"\n")
    assert received(receiver, totals) == {("level",): 3}


@pytest.mark.usefixtures("declared")
def test_an_age_is_that_of_the_process_where_it_is_longest(wire, monkeypatch):
    receiver, sender = wire
    age = Age("age_seconds", "Age.")
    totals = Totals(Instance.API)
    assert received(receiver, totals) == {}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        now = time.monotonic()
        for pid, seconds in ((os.getpid(), 100), (other.pid, 500), (os.getpid(), 50)):
            monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
            monkeypatch.setattr(time, "monotonic", lambda at=now - seconds: at)
            age.reset()
            send_changes(sender)
        monkeypatch.setattr(time, "monotonic", lambda: now)
        assert received(receiver, totals) == {("age_seconds",): 500}
        other.communicate(b"\n")
    assert received(receiver, totals) == {("age_seconds",): 50}


@pytest.mark.usefixtures("declared")
def test_counts_of_other_threads_during_a_send_are_not_lost(wire):
    receiver, sender = wire
    counter, totals, ended = Counter("things_total", "Things."), Totals(Instance.API), 0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def count():
        nonlocal ended
        for _ in range(20_000):
            counter.inc()
        ended += 1

    try:
        threads = [threading.Thread(target=count) for _ in range(2)]
        for each in threads:
            each.start()
        while ended < len(threads):
            send_changes(sender)
            received(receiver, totals)
        send_changes(sender)
    finally:
        sys.setswitchinterval(interval)
    assert received(receiver, totals) == {("things_total",): 40_000}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("declared")
def test_a_forked_process_does_not_send_what_its_parent_counted(wire):
    receiver, sender = wire
    counter, totals = Counter("things_total", "Things."), Totals(Instance.API)
    counter.inc()
    pid = os.fork()
    if not pid:
        counter.inc(10)
        send_changes(sender)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    send_changes(sender)
    assert received(receiver, totals) == {("things_total",): 11}


@pytest.mark.usefixtures("declared")
def test_a_metric_of_another_instance_is_shown_once_it_is_counted(wire):
    receiver, sender = wire
    counter = Counter("things_total", "Things.", [Instance.WORKER])
    gauge = Gauge("level", "Level.", [Instance.WORKER])
    totals = Totals(Instance.API)
    assert received(receiver, totals) == {}
    counter.inc()
    gauge.set(2)
    send_changes(sender)
    assert received(receiver, totals) == {("things_total",): 1, ("level",): 2}


@pytest.mark.usefixtures("declared")
def test_a_message_has_a_maximum_size(wire):
    receiver, sender = wire
    counter = Counter("things_total", "Things.", kind=LabelValues(dynamic=10_000))
    totals, sent = Totals(Instance.API), 0
    for number in range(1000):
        counter.inc(labels=(f"{number}{'x' * 100}",))
    while sent < 100:
        sent += 1
        try:
            send_changes(sender)
        except BlockingIOError:
            received(receiver, totals)
        else:
            break
    assert sum(received(receiver, totals).values()) == 1000


def test_the_values_of_a_label_are_bounded():
    values = LabelValues("GET", 200, dynamic=2)
    values.add("POST", "POST")
    assert [values.bound(each) for each in ("GET", 200, "POST")] == ["GET", "200", "POST"]
    assert [values.bound(each) for each in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="rate_limit_fallback_total is declared twice"):
        Counter("rate_limit_fallback_total", "Again.")


@pytest.mark.parametrize("meter", Meter.declared.values(), ids=lambda meter: meter.name)
def test_no_label_takes_unbounded_values_from_clients(meter):
    for name, values in meter.labels.items():
        assert isinstance(values, LabelValues)
        # A copy, so that the places of names that operators choose stay free.
        fresh = copy.deepcopy(values)
        shown = {fresh.bound(f"made-up-{number}") for number in range(1000)}
        most = OPERATORS_NAMES.get(f"{meter.name} {name}", 0)
        assert OTHER in shown
        assert len(shown) <= most + 1


def test_metrics_are_declared_with_bounded_labels_only(request):
    """prometheus_client's classes accept any label value, so only its collectors are imported."""
    importing = re.compile(r"^(?:from|import) prometheus_client\b.*", re.MULTILINE)
    root = request.config.rootpath
    found = {
        path.relative_to(root).as_posix(): importing.findall(path.read_text())
        for folder in ("api", "infra", "services", "tasks", "worker")
        for path in (root / folder).rglob("*.py")
        if importing.search(path.read_text())
    }
    folder = "infra/observability"
    modules = {"exposition", "meters", "processes", "totals"}
    assert found.keys() == {f"{folder}/{module}.py" for module in modules}
    assert not hasattr(metrics, "Summary")
    for module in (metrics, task_metrics):
        assert module.Counter is Counter
        assert module.Histogram is Histogram
