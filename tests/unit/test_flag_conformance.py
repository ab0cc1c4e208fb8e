"""Our provider passes Unleash's own test cases."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openfeature.evaluation_context import EvaluationContext

from services.flags.provider import PAYLOAD, FlagClient, engine_of

SPECIFICATIONS = Path(__file__).parents[1] / "data" / "unleash" / "specifications"
FILES = json.loads((SPECIFICATIONS / "index.json").read_text("utf-8"))
CASES = {"tests": 227, "variantTests": 52}


def specification(file: str) -> dict:
    return json.loads((SPECIFICATIONS / file).read_text("utf-8"))


def details(client: FlagClient, case: dict):
    """Evaluate a case's flag as the service does, through OpenFeature."""
    given = dict(case["context"])
    subject, properties = given.pop("userId", None), given.pop("properties", {})
    context = EvaluationContext(subject, properties | given)
    return client.openfeature.get_boolean_details(case["toggleName"], False, context)  # noqa: FBT003  the class's field


def cases(kind: str) -> Iterator[tuple[str, dict, dict]]:
    for file in FILES:
        whole = specification(file)
        yield from ((file, whole["state"], case) for case in whole.get(kind, []))


@pytest.mark.parametrize("kind", CASES)
def test_all_cases_are_there(kind):
    assert len([*cases(kind)]) == CASES[kind]


@pytest.mark.parametrize("file", FILES)
def test_flags_are_on_and_off_as_unleash_says(file):
    client, whole = FlagClient(), specification(file)
    client.provider.engine = engine_of(whole["state"])
    wrong = [
        case["description"]
        for case in whole.get("tests", [])
        if details(client, case).value is not case["expectedResult"]
    ]
    assert wrong == []


@pytest.mark.parametrize("file", FILES)
def test_variants_are_dealt_as_unleash_says(file):
    client, whole = FlagClient(), specification(file)
    client.provider.engine = engine_of(whole["state"])
    for case in whole.get("variantTests", []):
        found, expected = details(client, case), case["expectedResult"]
        assert found.value is expected["feature_enabled"], case["description"]
        variant = expected["name"] if expected["enabled"] else None
        assert found.variant == variant, case["description"]
        payload = expected.get("payload", {}).get("value")
        assert found.flag_metadata.get(PAYLOAD) == payload, case["description"]
