"""Evaluation: defaults, memory, exposures, and the file of the last known good definitions."""

import ast
import json
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from infra.observability.events import Event
from services.fields import validated
from services.flags import evaluate
from services.flags.definitions import FlagDefinition, feature_of
from services.flags.evaluate import EVERYONE, Feature, Flags, Undeclared
from services.flags.exposures import Exposures
from services.flags.feed import FlagFeed
from services.flags.registry import AVIF_VARIANTS, FLAGS, SEARCHES, Flag

parse = partial(validated, FlagDefinition)

ROOT = Path(__file__).parents[2]
SUBJECT = UUID("019aae3c-5f00-7cc0-8000-3f1bb9a3c001")
FRUIT = Flag(
    "fruit",
    default=False,
    description="",
    owner="",
    subject="a student",
    properties=frozenset({"level"}),
)
EVEN = [{"name": "apple", "weight": 500}, {"name": "pear", "weight": 500}]


@pytest.fixture
def _fruit(monkeypatch):
    monkeypatch.setitem(FLAGS, FRUIT.name, FRUIT)


@pytest.fixture
def exposed(monkeypatch):
    """The exposures that are logged and counted."""
    logged, counted = [], []
    monkeypatch.setattr(
        "services.flags.exposures.log.info", lambda event, **about: logged.append((event, about))
    )
    monkeypatch.setattr(
        "services.flags.exposures.metrics.flag_exposures.inc",
        lambda *, labels: counted.append(labels),
    )
    return logged, counted


def feature(flag: Flag, version: int = 1, **document) -> Feature:
    given = {"enabled": True} | document
    return Feature(flag.name, version, feature_of(flag, parse(given)))


def flags_with(*features: Feature, version: int = 1) -> Flags:
    flags = Flags()
    flags.load(features, version)
    return flags


def test_a_flag_without_a_definition_has_its_default():
    flags = Flags()
    assert flags.is_on(SEARCHES)
    assert not flags.is_on(AVIF_VARIANTS, SUBJECT)


def test_a_definition_wins_over_the_default_and_is_replaced_as_a_whole():
    flags = flags_with(feature(SEARCHES, enabled=False), feature(AVIF_VARIANTS))
    assert not flags.is_on(SEARCHES)
    assert flags.is_on(AVIF_VARIANTS, SUBJECT)
    flags.load([feature(SEARCHES)], 2)
    assert flags.is_on(SEARCHES)
    assert not flags.is_on(AVIF_VARIANTS, SUBJECT)


def test_only_what_is_declared_can_be_evaluated():
    flags = Flags()
    another = Flag("avif-variants", default=True, description="", owner="")
    for call in (
        lambda: flags.is_on(FRUIT, SUBJECT),
        lambda: flags.is_on(another),
        lambda: flags.is_on(SEARCHES, SUBJECT),
        lambda: flags.is_on(AVIF_VARIANTS),
        lambda: flags.is_on(AVIF_VARIANTS, SUBJECT, level="3"),
    ):
        with pytest.raises(Undeclared):
            call()


@pytest.mark.usefixtures("_fruit")
def test_constraints_target_subjects_and_properties():
    chosen = {"contextName": "userId", "operator": "IN", "values": [str(SUBJECT)]}
    high = {"contextName": "level", "operator": "NUM_GTE", "value": "3"}
    strategies = [{"name": "default", "constraints": [each]} for each in (chosen, high)]
    flags = flags_with(feature(FRUIT, strategies=strategies))
    assert flags.is_on(FRUIT, SUBJECT)
    assert not flags.is_on(FRUIT, uuid4())
    assert flags.is_on(FRUIT, uuid4(), level="3")
    assert not flags.is_on(FRUIT, uuid4(), level="2")


@pytest.mark.usefixtures("_fruit")
def test_an_evaluation_is_remembered_for_the_version(monkeypatch):
    flags = flags_with(feature(FRUIT, variants=EVEN))
    asked = []
    found = flags.client.evaluate
    monkeypatch.setattr(
        flags.client, "evaluate", lambda *each, **more: asked.append(each) or found(*each, **more)
    )
    first = flags.evaluate(FRUIT, SUBJECT)
    assert flags.evaluate(FRUIT, SUBJECT) is first
    assert len(asked) == 1
    flags.load([feature(FRUIT, 2, enabled=False)], 2)
    assert not flags.is_on(FRUIT, SUBJECT)
    assert len(asked) == 2


@pytest.mark.usefixtures("_fruit")
def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(evaluate, "MOST_REMEMBERED", 10)
    flags = flags_with(feature(FRUIT))
    for _ in range(25):
        flags.is_on(FRUIT, uuid4())
        assert len(flags._remembered) <= 10  # noqa: SLF001  it has no public size


@pytest.mark.usefixtures("_fruit")
def test_a_definition_that_depends_on_the_time_is_not_remembered_for_long(monkeypatch):
    monkeypatch.setattr(evaluate, "TIMED_SECONDS", 0.0)
    monkeypatch.setattr("services.flags.evaluate.time.monotonic", iter(range(1000)).__next__)
    at = {"contextName": "currentTime", "operator": "DATE_AFTER", "value": "2020-01-01T00:00:00Z"}
    flags = flags_with(feature(FRUIT, strategies=[{"name": "default", "constraints": [at]}]))
    first = flags.evaluate(FRUIT, SUBJECT)
    assert first.is_on
    assert flags.evaluate(FRUIT, SUBJECT) is not first


@pytest.mark.usefixtures("_fruit")
def test_an_exposure_is_recorded_once_a_subject_and_version(exposed):
    logged, counted = exposed
    flags = flags_with(feature(FRUIT, 7, variants=EVEN))
    shown = {flags.evaluate(FRUIT, SUBJECT).variant for _ in range(3)}
    # Another flag changes: the version of this one stays.
    flags.load([feature(FRUIT, 7, variants=EVEN), feature(SEARCHES, 8, enabled=False)], 8)
    shown.add(flags.evaluate(FRUIT, SUBJECT).variant)
    (variant,) = shown
    about = {"flag": "fruit", "subject": str(SUBJECT), "variant": variant, "flag_version": 7}
    assert logged == [(Event.FLAG_EXPOSED, about)]
    assert counted == [("fruit", variant)]
    flags.load([feature(FRUIT, 9, variants=EVEN)], 9)
    flags.evaluate(FRUIT, SUBJECT)
    flags.evaluate(FRUIT, uuid4())
    assert len(logged) == 3


def test_nobody_is_exposed_to_a_flag_that_is_off_or_has_its_default(exposed):
    flags = flags_with(feature(AVIF_VARIANTS, enabled=False))
    flags.is_on(AVIF_VARIANTS, SUBJECT)
    assert flags.is_on(SEARCHES)
    assert exposed == ([], [])


def test_the_memory_of_exposures_is_bounded(exposed):
    exposures = Exposures(most=3)
    for subject in "abcda":
        exposures.record("fruit", subject, 1, "on")
    assert [about["subject"] for _, about in exposed[0]] == [*"abcda"]
    assert len(exposures._recorded) == 3  # noqa: SLF001  it has no public size


def test_a_definition_that_the_engine_refuses_costs_no_other_flag():
    broken = Feature(AVIF_VARIANTS.name, 1, {"name": AVIF_VARIANTS.name, "enabled": "perhaps"})
    flags = flags_with(broken, feature(SEARCHES, enabled=False))
    assert not flags.is_on(SEARCHES)
    assert not flags.is_on(AVIF_VARIANTS, SUBJECT)


async def test_the_last_known_good_flags_are_loaded_without_a_database(tmp_path, monkeypatch):
    async def away(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr("services.flags.feed.rows", away)
    file = tmp_path / "flags.json"
    kept = [vars(feature(SEARCHES, 5, enabled=False))]
    file.write_text(json.dumps({"version": 6, "features": kept}))
    feed = FlagFeed(Flags(), file)
    await feed.start()
    assert (feed.flags.is_on(SEARCHES), feed.flags.version) == (False, 6)


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version": 1, "features": [{"x": 1}]}'])
async def test_without_a_usable_file_flags_have_their_defaults(tmp_path, monkeypatch, text):
    async def away(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr("services.flags.feed.rows", away)
    file = tmp_path / "flags.json"
    if text is not None:
        file.write_text(text)
    feed = FlagFeed(Flags(), file)
    await feed.start()
    assert (feed.flags.is_on(SEARCHES), feed.flags.version) == (True, 0)


def test_payloads_have_the_types_of_openfeature():
    def resolved(payload: str, method: str, default):
        variant = {"name": "a", "weight": 1000, "payload": {"type": "string", "value": payload}}
        flags = flags_with(feature(AVIF_VARIANTS, variants=[variant]))
        return getattr(flags.client.openfeature, method)(AVIF_VARIANTS.name, default)

    assert resolved("blue", "get_string_value", "red") == "blue"
    assert resolved("7", "get_integer_value", 1) == 7
    assert resolved("0.5", "get_float_value", 1.0) == 0.5
    assert resolved('{"a": 1}', "get_object_value", {}) == {"a": 1}
    assert resolved("many", "get_integer_value", 1) == 1
    flags = flags_with(feature(AVIF_VARIANTS))
    assert flags.client.openfeature.get_string_value(AVIF_VARIANTS.name, "red") == "red"
    assert flags.evaluate(AVIF_VARIANTS, SUBJECT).payload is None
    assert flags.client.provider.get_metadata().name


def test_everyone_is_one_subject():
    flags = flags_with(feature(SEARCHES))
    assert flags.client.evaluate(SEARCHES.name, EVERYONE, {}, default=False).is_on


def test_each_declared_flag_is_evaluated_somewhere():
    declared = {
        target.id
        for node in ast.walk(ast.parse((ROOT / "services/flags/registry.py").read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
    }
    assert len(declared) == len(FLAGS)
    sources = [*ROOT.glob("services/*/*.py"), *ROOT.glob("tasks/*.py"), *ROOT.glob("api/**/*.py")]
    evaluated = {
        argument.id
        for file in sources
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"is_on", "evaluate"}
        for argument in node.args[:1]
        if isinstance(argument, ast.Name)
    }
    assert declared <= evaluated


def test_the_fast_path_evaluates_no_flag():
    files = [each for room in ("api/protocol", "api/security", "infra") for each in _modules(room)]
    assert any(each.name == "fast_path.py" for each in files)
    assert [each for each in files if "services.flags" in each.read_text("utf-8")] == []


def _modules(room: str) -> list[Path]:
    return [*(ROOT / room).rglob("*.py")]
