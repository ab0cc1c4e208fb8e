"""The statistics of a release: their figures, what they find, and how often they are wrong."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.statistics import (
    NOT_WORSE,
    WORSE,
    Share,
    log_likelihood_ratio,
    mann_whitney,
    newcombe,
    tail_bucket,
    wilson,
)

SHARES = st.integers(0, 10_000).flatmap(
    lambda whole: st.integers(0, whole).map(lambda part: Share(part, whole))
)


def poisson(rng, mean):
    """Return a draw (Knuth)."""
    bound, product, number = math.exp(-mean), rng.random(), 0
    while product > bound:
        product *= rng.random()
        number += 1
    return number


def rounded(interval):
    return tuple(round(bound, 4) for bound in interval)


def test_the_intervals_are_those_of_newcombes_papers():
    both_sides_at_95 = 1.959964
    assert rounded(wilson(Share(81, 263), both_sides_at_95)) == (0.2553, 0.3662)
    found = newcombe(Share(56, 70), Share(48, 80), both_sides_at_95)
    assert rounded(found) == (0.0524, 0.3339)
    assert wilson(Share(0, 0)) == (0, 1)


@given(SHARES, SHARES)
def test_newcombes_interval_has_the_difference_and_is_antisymmetric(canary, stable):
    found, other = newcombe(canary, stable), newcombe(stable, canary)
    if canary.whole and stable.whole:
        assert found.low - 1e-9 <= canary.ratio - stable.ratio <= found.high + 1e-9
    assert -1 - 1e-9 <= found.low <= found.high <= 1 + 1e-9
    assert found.low == pytest.approx(-other.high, abs=1e-9)


def detected(rng, ratio, requests, *, baseline=0.001, weight=0.05):
    others = requests * (1 - weight) / weight
    canary = Share(min(poisson(rng, ratio * requests), requests), requests)
    return newcombe(canary, Share(poisson(rng, baseline * others), others))


@pytest.mark.parametrize(
    ("requests", "ratio", "share"), [(30_000, 0.002, 0.9), (3_000, 0.005, 0.9)]
)
def test_the_interval_finds_more_errors(requests, ratio, share):
    rng = random.Random(1)
    found = sum(detected(rng, ratio, requests).low > 0 for _ in range(400))
    assert found >= share * 400


def test_the_interval_is_rarely_wrong_and_never_sure_of_few_requests():
    rng = random.Random(2)
    healthy = [detected(rng, 0.001, 6_000) for _ in range(1_000)]
    assert sum(each.low > 0 for each in healthy) <= 25
    assert sum(each.high <= 0.005 for each in healthy) >= 990
    assert not any(detected(rng, 0.001, 150).high <= 0.005 for _ in range(200))


@given(SHARES, SHARES)
def test_the_likelihood_ratio_is_finite_and_grows_with_the_canarys_errors(canary, stable):
    found = log_likelihood_ratio(canary, stable)
    assert math.isfinite(found)
    assert log_likelihood_ratio(Share(canary.part + 1, canary.whole), stable) >= found
    if not stable.whole:
        assert found == 0


def sequential(rng, ratio, *, seconds=600, baseline=0.001):
    """Return when the test as the machine runs it aborts, or None."""
    rate, weight, tick = 200, 0.05, 2
    canary = stable = Share(0, 0)
    for now in range(tick, seconds + 1, tick):
        ours, theirs = rate * tick * weight, rate * tick * (1 - weight)
        canary = Share(canary.part + poisson(rng, ratio * ours), canary.whole + ours)
        stable = Share(stable.part + poisson(rng, baseline * theirs), stable.whole + theirs)
        found = log_likelihood_ratio(canary, stable)
        if found >= WORSE:
            return now
        if found <= NOT_WORSE:
            canary = stable = Share(0, 0)
    return None


def test_the_sequential_test_finds_five_percent_of_errors_in_twenty_seconds():
    rng = random.Random(3)
    found = sorted(sequential(rng, 0.05) or 600 for _ in range(200))
    assert found[100] <= 12
    assert found[190] <= 24


def test_the_sequential_test_rarely_aborts_a_healthy_step_of_ten_minutes():
    rng = random.Random(4)
    aborted = sum(sequential(rng, 0.001) is not None for _ in range(400))
    assert aborted <= 10


def test_mann_whitney_counts_ties_as_halves():
    assert mann_whitney([1, 0], [0, 1]).chance == 0
    assert mann_whitney([0, 1], [1, 0]).chance == 1
    assert mann_whitney([5, 5], [50, 50]).chance == 0.5
    assert mann_whitney([0, 0], [1, 1]) == (0.5, math.inf)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12))
def test_mann_whitney_is_that_of_all_pairs(pairs):
    canary, stable = zip(*pairs, strict=True)
    found = mann_whitney(canary, stable)
    wins = sum(
        mine * other * (1 if i > j else 0.5 if i == j else 0)
        for i, mine in enumerate(canary)
        for j, other in enumerate(stable)
    )
    if sum(canary) and sum(stable):
        assert found.chance == pytest.approx(wins / (sum(canary) * sum(stable)))
        assert found.error >= 0


def test_the_tail_begins_above_the_first_bucket_with_few_beyond():
    assert tail_bucket([90, 9, 1, 0], 0.01) == 1
    assert tail_bucket([1000, 0, 0], 0.01) == 0
    assert tail_bucket([0, 0, 100], 0.01) == 1
