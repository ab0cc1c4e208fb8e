"""The baseline measures the speed of bare Sanic on the machine."""

from loadtests.load import baseline


def test_the_baseline_measures_bare_sanic_and_ends(monkeypatch):
    monkeypatch.setattr(baseline, "ROUNDS", 1)
    monkeypatch.setattr(baseline, "ROUND_SECONDS", 1.0)
    assert baseline.bare_sanic() > 100
