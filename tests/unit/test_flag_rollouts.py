"""Rollouts are fair, sticky and independent, and an upgrade of the engine deals nobody anew."""

import json
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.fields import validated
from services.flags.definitions import FlagDefinition, feature_of
from services.flags.provider import FlagClient
from services.flags.registry import AVIF_VARIANTS, Flag
from tests import murmur

parse = partial(validated, FlagDefinition)

# The values that subjects have been dealt. If this test fails after an upgrade, real subjects would
# be dealt others: do not write the file anew, keep the old engine.
GOLDEN = Path(__file__).parents[1] / "data" / "flags" / "golden.json"
SUBJECTS = 1_000_000
# Of chi squared, for a chance of 0.1 %, by the degrees of freedom.
CRITICAL = {1: 10.83, 2: 13.82, 99: 148.23}
OTHER = Flag("another-flag", default=False, description="", owner="", subject="a student")
WEIGHTS = {"red": 500, "green": 300, "blue": 200}
VARIANTS = [{"name": name, "weight": weight} for name, weight in WEIGHTS.items()]


@cache
def subjects(number: int) -> list[str]:
    """Return ids as the database makes them: of version 7, close to each other."""
    return [f"019aae3c-5f00-7cc0-8000-{7919 * each:012x}" for each in range(number)]


def client_of(flag: Flag, *, percent: int = 100, variants=()) -> FlagClient:
    """Return a client with a gradual rollout, as `enroll flags set` stores it."""
    rollout = {"name": "flexibleRollout", "parameters": {"rollout": percent}}
    document = {"enabled": True, "strategies": [rollout], "variants": [*variants]}
    client = FlagClient()
    assert client.provider.load([feature_of(flag, parse(document))]) == []
    return client


def on(flag: Flag, percent: int, number: int) -> set[str]:
    """Return the subjects for whom the flag is on."""
    client = client_of(flag, percent=percent)
    return {
        subject
        for subject in subjects(number)
        if client.evaluate(flag.name, subject, {}, default=False).is_on
    }


def dealt(flag: Flag, number: int) -> list[str | None]:
    """Return the variant of each subject."""
    client = client_of(flag, variants=VARIANTS)
    return [
        client.evaluate(flag.name, subject, {}, default=False).variant
        for subject in subjects(number)
    ]


def test_no_subject_is_dealt_another_value_than_ever():
    golden = json.loads(GOLDEN.read_text("utf-8"))
    number = len(golden["avif-variants 25 %"])
    for flag in (AVIF_VARIANTS, OTHER):
        chosen = on(flag, 25, number)
        bits = "".join("1" if each in chosen else "0" for each in subjects(number))
        assert bits == golden[f"{flag.name} 25 %"]
    letters = "".join(str(variant)[0] for variant in dealt(OTHER, number))
    assert letters == golden["another-flag variants"]


def test_a_raised_rollout_drops_nobody():
    steps = [on(AVIF_VARIANTS, percent, 2000) for percent in (0, 10, 20, 50, 100)]
    assert [len(step) for step in steps] == sorted(len(step) for step in steps)
    assert all(before < after for before, after in pairwise(steps))
    assert (steps[0], len(steps[-1])) == (set(), 2000)


def test_a_subject_keeps_its_value():
    assert on(AVIF_VARIANTS, 30, 500) == on(AVIF_VARIANTS, 30, 500)


@pytest.mark.parametrize("flag", [AVIF_VARIANTS, OTHER], ids=lambda flag: flag.name)
def test_the_engine_deals_by_the_hash_that_is_tested_below(flag):
    place = murmur.buckets(flag.name, subjects(3000), 100)
    for percent in (1, 25, 99):
        expected = {each for each, at in zip(subjects(3000), place, strict=True) if at <= percent}
        assert on(flag, percent, 3000) == expected
    place = murmur.buckets(flag.name, subjects(3000), 1000, murmur.VARIANTS)
    names = np.repeat([*WEIGHTS], [*WEIGHTS.values()])
    assert dealt(flag, 3000) == names[place - 1].tolist()


def chi_squared(observed, expected) -> float:
    return float(((observed - expected) ** 2 / expected).sum())


def test_a_million_subjects_are_dealt_evenly():
    place = murmur.buckets(AVIF_VARIANTS.name, subjects(SUBJECTS), 100)
    counts = np.bincount(place, minlength=101)[1:]
    assert chi_squared(counts, np.full(100, SUBJECTS / 100)) < CRITICAL[99]


def test_a_million_subjects_are_dealt_variants_by_their_weights():
    place = murmur.buckets(AVIF_VARIANTS.name, subjects(SUBJECTS), 1000, murmur.VARIANTS)
    counts = np.histogram(place, [1, 501, 801, 1001])[0]
    weights = np.array([*WEIGHTS.values()]) * SUBJECTS / 1000
    assert chi_squared(counts, weights) < CRITICAL[2]


def test_flags_are_independent():
    one, other = (
        murmur.buckets(flag.name, subjects(SUBJECTS), 100) <= 50 for flag in (AVIF_VARIANTS, OTHER)
    )
    observed = np.array([[np.sum(a & b) for b in (other, ~other)] for a in (one, ~one)])
    expected = np.outer(observed.sum(1), observed.sum(0)) / SUBJECTS
    assert chi_squared(observed, expected) < CRITICAL[1]


def test_variants_do_not_depend_on_the_rollout():
    place = murmur.buckets(OTHER.name, subjects(SUBJECTS), 100)
    variant = murmur.buckets(OTHER.name, subjects(SUBJECTS), 1000, murmur.VARIANTS)
    early = np.histogram(variant[place <= 10], [1, 501, 801, 1001])[0]
    weights = np.array([*WEIGHTS.values()]) * early.sum() / 1000
    assert chi_squared(early, weights) < CRITICAL[2]
