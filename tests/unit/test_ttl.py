"""How long entries last: five minutes, and not all of them to the same moment."""

from infra.cache.filler import ttl_with_jitter


def test_entries_last_five_minutes_give_or_take_a_tenth():
    drawn = [ttl_with_jitter() for _ in range(10_000)]
    assert min(drawn) >= 270
    assert max(drawn) <= 330
    # Spread over the whole minute: what was made together does not end together.
    tenths = {int((seconds - 270) // 6) for seconds in drawn}
    assert tenths >= set(range(10))
    assert abs(sum(drawn) / len(drawn) - 300) < 2
