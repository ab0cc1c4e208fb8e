"""A full scan comes every second, and takes a twentieth of the time at most."""

import pytest

from infra.queue import scans
from infra.queue.scans import FullScans


@pytest.fixture
def clock(monkeypatch):
    """The time, which the test sets."""
    now = [100.0]
    monkeypatch.setattr(scans.time, "monotonic", lambda: now[0])
    return now


def _scan(full_scans, clock, seconds: float) -> bool:
    is_full = full_scans.begin()
    clock[0] += seconds
    full_scans.end()
    return is_full


def test_the_first_scan_is_full_and_the_next_one_a_second_later(clock):
    full_scans = FullScans()
    assert _scan(full_scans, clock, 0.01)
    assert not _scan(full_scans, clock, 0.01)
    clock[0] += scans.LEAST_SECONDS - 0.02
    assert _scan(full_scans, clock, 0.01)


def test_slow_scans_come_less_often(clock):
    full_scans = FullScans()
    assert _scan(full_scans, clock, 0.5)
    clock[0] += 9.0
    # Scans that are not full take as long as they like.
    assert not _scan(full_scans, clock, 0.5)
    clock[0] += 1.0
    assert _scan(full_scans, clock, 0.5)
