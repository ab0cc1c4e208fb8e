"""What a flag's definition may say, and what is refused, by the name of the place."""

import re
from functools import partial
from pathlib import Path

import pytest

from services.errors import Invalid
from services.fields import validated
from services.flags.definitions import FlagDefinition, feature_of
from services.flags.registry import AVIF_VARIANTS, FLAGS, SEARCHES

parse = partial(validated, FlagDefinition)

ROLLOUT = {"name": "flexibleRollout", "parameters": {"rollout": "25"}}
HALF = {"name": "half", "weight": 500}


def constraint(operator="IN", **others) -> dict:
    return {"contextName": "userId", "operator": operator, **others}


def with_strategy(**fields) -> dict:
    return {"enabled": True, "strategies": [{"name": "default", **fields}]}


def places(document, flag=AVIF_VARIANTS) -> list[str]:
    """Return where the faults are."""
    with pytest.raises(Invalid) as refused:
        feature_of(flag, parse(document))
    return [fault.field for fault in refused.value.faults]


def test_a_definition_is_completed_for_the_engine():
    given = {"enabled": True, "strategies": [ROLLOUT, {"name": "default"}]}
    assert feature_of(AVIF_VARIANTS, parse(given)) == {
        "name": "avif-variants",
        "enabled": True,
        "strategies": [
            {
                "name": "flexibleRollout",
                "parameters": {
                    "rollout": "25",
                    "stickiness": "default",
                    "groupId": "avif-variants",
                },
                "constraints": [],
                "variants": [],
            },
            {"name": "default", "constraints": [], "variants": []},
        ],
        "variants": [],
    }


def test_what_was_stored_can_be_stored_again():
    variants = [{"name": "a", "weight": 1000, "payload": {"type": "string", "value": "x"}}]
    given = {
        "enabled": False,
        "strategies": [
            ROLLOUT | {"constraints": [constraint(values=["1"], inverted=True)]},
            {"name": "default", "variants": variants},
        ],
    }
    stored = feature_of(AVIF_VARIANTS, parse(given))
    assert feature_of(AVIF_VARIANTS, parse(stored)) == stored


@pytest.mark.parametrize("rollout", [0, 25, 100, "0", "25", "100"])
def test_a_percentage_is_a_number_or_its_text(rollout):
    strategy = ROLLOUT | {"parameters": {"rollout": rollout}}
    feature = feature_of(AVIF_VARIANTS, parse({"enabled": True, "strategies": [strategy]}))
    assert feature["strategies"][0]["parameters"]["rollout"] == str(rollout)


@pytest.mark.parametrize(
    "rollout", [-1, 101, "101", "-1", "fifty", 2.5, None, "²", "007", "٣", False, 5.0]
)
def test_another_percentage_is_refused(rollout):
    strategy = ROLLOUT | {"parameters": {"rollout": rollout}}
    found = places({"enabled": True, "strategies": [strategy]})
    assert found in (["strategies.0.parameters.rollout"], ["strategies.0"])


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, "enabled"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": True, "name": "another"}, "name"),
        ({"enabled": True, "colour": "red"}, "colour"),
        ({"enabled": True, "strategies": "all"}, "strategies"),
        (with_strategy(name="gradualRolloutRandom"), "strategies.0.name"),
        (with_strategy(name="flexibleRollout"), "strategies.0"),
        (with_strategy(parameters={"rollout": 5}), "strategies.0"),
        (with_strategy(parameters={"stickiness": "random"}), "strategies.0.parameters.stickiness"),
        (with_strategy(segments=[1]), "strategies.0.segments"),
        (with_strategy(constraints=[constraint()]), "strategies.0.constraints.0"),
        (with_strategy(constraints=[constraint("NUM_GT")]), "strategies.0.constraints.0"),
        (
            with_strategy(constraints=[constraint("NUM_GT", value="x")]),
            "strategies.0.constraints.0",
        ),
        (
            with_strategy(constraints=[constraint("DATE_AFTER", value="2026-01-01")]),
            "strategies.0.constraints.0",
        ),
        (
            with_strategy(constraints=[constraint("SEMVER_GT", value="1.0")]),
            "strategies.0.constraints.0",
        ),
        (
            with_strategy(constraints=[constraint("REGEX", value="a")]),
            "strategies.0.constraints.0.operator",
        ),
        (
            with_strategy(constraints=[constraint(values=["1"]) | {"contextName": "age"}]),
            "strategies.0.constraints.0.contextName",
        ),
        ({"enabled": True, "variants": [HALF]}, "variants"),
        ({"enabled": True, "variants": [HALF, HALF]}, "variants"),
        ({"enabled": True, "variants": [HALF | {"weight": 1001}]}, "variants.0.weight"),
        ({"enabled": True, "variants": [HALF | {"name": "a b"}]}, "variants.0.name"),
    ],
)
def test_a_bad_definition_is_refused_by_its_place(document, place):
    assert places(document) == [place]


def test_a_flag_without_a_subject_is_divided_by_nothing():
    variants = [HALF, HALF | {"name": "other"}]
    document = {
        "enabled": True,
        "strategies": [ROLLOUT | {"variants": variants, "constraints": [constraint(values=["1"])]}],
        "variants": variants,
    }
    assert places(document, SEARCHES) == [
        "variants",
        "strategies.0.variants",
        "strategies.0.parameters.rollout",
        "strategies.0.constraints.0.contextName",
    ]


@pytest.mark.parametrize("rollout", [0, 100])
def test_a_flag_without_a_subject_may_be_on_or_off_by_percentage(rollout):
    strategy = ROLLOUT | {"parameters": {"rollout": rollout}}
    assert feature_of(SEARCHES, parse({"enabled": True, "strategies": [strategy]}))


def test_dates_and_releases_are_accepted_where_the_engine_reads_them():
    constraints = [
        constraint("DATE_AFTER", value="2026-01-01T00:00:00Z") | {"contextName": "currentTime"},
        constraint("SEMVER_GT", value="1.2.3-rc.1"),
        constraint("NUM_LTE", value="2.5"),
        constraint("STR_CONTAINS", values=["a"], caseInsensitive=True),
    ]
    assert feature_of(AVIF_VARIANTS, parse(with_strategy(constraints=constraints)))


def test_each_flag_says_what_it_is_for_and_who_answers_for_it():
    for name, flag in FLAGS.items():
        assert name == flag.name
        assert flag.description.endswith(".")
        assert flag.owner


def test_the_documentation_lists_each_flag_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "flags.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (on|off) \| (.*?) \|", page, re.MULTILINE)
    assert rows == [
        (flag.name, "on" if flag.default else "off", flag.subject or "")
        for flag in sorted(FLAGS.values(), key=lambda flag: flag.name)
    ]
