"""Metrics of several processes are added, bounded, and not lost while the reader is busy."""

import os
import re
import subprocess
import sys

import pytest

from infra.observability import meters, metrics
from infra.observability.meters import OTHER, Counter, Gauge, Histogram, LabelValues, Meter, Totals


@pytest.fixture
def declared(monkeypatch):
    """Metrics of the test's own only."""
    monkeypatch.setattr(Meter, "declared", {})


@pytest.fixture
def wire():
    receiver, sender = meters.open_channel()
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
    totals = Totals()
    assert received(receiver, totals) == {("others_total",): 0}
    for _ in range(3):
        counter.inc(labels=("a",))
        counter.send(sender)
    plain.inc(2.5)
    plain.send(sender)
    plain.send(sender)
    assert received(receiver, totals) == {("things_total", "a"): 3, ("others_total",): 2.5}


@pytest.mark.usefixtures("declared")
def test_a_busy_reader_gets_all_counts_later(wire):
    receiver, sender = wire
    counter = Counter("things_total", "Things.")
    totals, tries = Totals(), 0
    with pytest.raises(BlockingIOError):
        while tries < 100_000:
            tries += 1
            counter.inc()
            counter.send(sender)
    counter.inc()
    received(receiver, totals)
    counter.send(sender)
    assert received(receiver, totals) == {("things_total",): tries + 1}


@pytest.mark.usefixtures("declared")
def test_a_histogram_is_cumulative(wire):
    receiver, sender = wire
    histogram = Histogram("seconds", "Seconds.", (0.1, 1.0), route=LabelValues("/"))
    totals = Totals()
    for value in (0.1, 0.5, 3.0):
        histogram.observe(value, ("/",))
    histogram.send(sender)
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
    totals = Totals()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for pid, level in ((os.getpid(), 2), (other.pid, 5), (os.getpid(), 3)):
            monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
            gauge.set(level)
            gauge.send(sender)
        assert received(receiver, totals) == {("level",): 8}
        other.communicate(b"\n")
    assert received(receiver, totals) == {("level",): 3}


@pytest.mark.usefixtures("declared")
def test_a_message_has_a_maximum_size(wire):
    receiver, sender = wire
    counter = Counter("things_total", "Things.", kind=LabelValues(dynamic=10_000))
    totals, sent = Totals(), 0
    for number in range(1000):
        counter.inc(labels=(f"{number}{'x' * 100}",))
    while sent < 100:
        sent += 1
        try:
            counter.send(sender)
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
    for values in meter.labels.values():
        assert isinstance(values, LabelValues)
        assert {values.bound(f"made-up-{number}") for number in range(1000)} == {OTHER}


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
    assert found.keys() == {"infra/observability/meters.py", "infra/observability/metrics.py"}
    assert not hasattr(metrics, "Summary")
    assert metrics.Counter is Counter
    assert metrics.Histogram is Histogram
