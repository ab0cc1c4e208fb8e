"""What a machine's speed is told by."""

from loadtests.load import baseline


def test_bare_sanic_is_measured_and_ends(monkeypatch):
    monkeypatch.setattr(baseline, "ROUNDS", 1)
    monkeypatch.setattr(baseline, "ROUND_SECONDS", 1.0)
    assert baseline.bare_sanic() > 100
