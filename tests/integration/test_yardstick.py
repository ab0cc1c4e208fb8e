"""What a machine's speed is told by."""

from loadtests.load import yardstick


def test_bare_sanic_is_measured_and_ends(monkeypatch):
    monkeypatch.setattr(yardstick, "ROUNDS", 1)
    monkeypatch.setattr(yardstick, "ROUND_SECONDS", 1.0)
    assert yardstick.bare_sanic() > 100
