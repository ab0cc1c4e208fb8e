"""Registering kinds of tasks: validation, defaults, and the queues of workers."""

import re
import sys
from functools import wraps
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

import celeryconfig
from infra import plugins
from infra.queue.leases import BASE_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS
from infra.queue.timing import Cron, Every
from infra.settings import SettingsError
from services.task_names import TaskName
from tasks import registry
from tasks.registry import (
    QUEUES,
    REGISTRY,
    PermanentError,
    load_tasks,
    most_at_once,
    queues,
    task,
)


@pytest.fixture(autouse=True)
def own_registry():
    """Restores the registry."""
    load_tasks()
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


async def _body(_context) -> None:
    """Does nothing."""


def _register(name: str, **properties):
    task(name, **properties)(_body)
    return REGISTRY[name]


def test_a_kind_has_defaults():
    kind = _register("test.plain")
    assert (kind.name, kind.body) == ("test.plain", _body)
    assert (kind.queue, kind.max_attempts, kind.timeout) == ("default", 5, 60)
    assert (kind.timing, kind.priority) == (None, 0)
    assert kind.permanent == (PermanentError,)


def test_a_kinds_options_are_kept():
    kind = _register(
        "test.told",
        queue="cache",
        max_attempts=2,
        timeout=1.5,
        every=60,
        permanent=(KeyError,),
        priority=3,
    )
    assert kind.priority == 3
    assert (kind.queue, kind.max_attempts, kind.timeout) == ("cache", 2, 1.5)
    assert kind.timing == Every(60)
    assert kind.permanent == (PermanentError, KeyError)


def test_a_kind_may_have_its_own_back_off_and_concurrency():
    own = {"backoff": (60, 300.5), "concurrency_per_key": 3, "concurrency_per_process": 10}
    kind, plain = _register("test.own", **own), _register("test.plain")
    assert {each: getattr(kind, each) for each in own} == own
    assert (plain.backoff, plain.concurrency_per_key, plain.concurrency_per_process) == ((), 1, 1)
    assert most_at_once() == 10


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"backoff": (1, -1)}, r"backoff of test.bad must be seconds from 0 .* \(1, -1\)"),
        ({"backoff": (float("nan"),)}, "backoff of test.bad"),
        ({"concurrency_per_key": 0}, "concurrency_per_key of test.bad must be from 1"),
        ({"concurrency_per_process": 0}, "concurrency_per_process of test.bad must be from 1"),
        ({"concurrency_per_process": 101}, r"must be from 1 to 100 \(it is 101\)"),
    ],
)
def test_numbers_out_of_their_range_are_refused(properties, said):
    with pytest.raises(ValueError, match=said):
        _register("test.bad", **properties)


@pytest.mark.parametrize("name", [TaskName.PROCESS_IMAGE, TaskName.REMOVE_IMAGES])
def test_the_retries_of_images_outlast_an_outage_of_an_hour(name):
    """Even if the jitter makes each delay the shortest possible."""
    pauses = range(1, REGISTRY[name].max_attempts)
    shortest = sum(
        min(MAX_BACKOFF_SECONDS, BASE_BACKOFF_SECONDS * 2 ** (n - 1)) / 2 for n in pauses
    )
    assert shortest >= 3600


def test_registering_returns_the_unchanged_coroutine():
    assert task("test.same")(_body) is _body


def test_an_invalid_kind_is_refused_in_one_sentence():
    async def items(_context):
        yield 1

    def parts(_context):
        yield 1

    @wraps(_body)
    def wrapper(context):
        return _body(context)

    for body, fault in [
        (items, "it yields"),
        (parts, "it yields"),
        (wrapper, "`async def`"),
        (object(), "is none"),
    ]:
        with pytest.raises(TypeError, match=fault) as refused:
            task("test.refused")(body)
        assert "\n" not in str(refused.value)
        assert "test.refused" not in REGISTRY


def test_a_plain_function_runs_in_a_thread():
    def body(_context) -> None:
        """Does nothing."""

    assert task("test.plain")(body) is body
    assert REGISTRY["test.plain"].runs_in_thread
    assert not _register("test.coroutine").runs_in_thread


def test_several_plain_functions_at_a_time_in_a_process_are_refused():
    def body(_context) -> None:
        """Does nothing."""

    with pytest.raises(TypeError, match=r"'test\.refused' is for coroutine functions, and .*body"):
        task("test.refused", concurrency_per_process=2)(body)
    assert "test.refused" not in REGISTRY


def test_arguments_that_cannot_be_validated_are_refused():
    async def body(_context, number: object, /) -> None:
        """Takes a parameter that has no name."""

    with pytest.raises(TypeError, match=r"'number' of 'test\.refused' can't"):
        task("test.refused")(body)
    assert "test.refused" not in REGISTRY


def test_a_periodic_task_needs_no_arguments():
    async def needy(_context, number: int, text: str = "") -> None:
        """Needs an argument that no schedule has."""

    with pytest.raises(TypeError, match=r"'test\.refused' can't need arguments: number"):
        task("test.refused", every=60)(needy)
    assert "test.refused" not in REGISTRY
    task("test.accepted")(needy)


def _first(args: dict) -> dict:
    return args


async def _awaits(args: dict) -> dict:
    return args


def test_a_version_has_an_upgrade_from_each_older_one():
    kind = _register("test.versioned", version=3, upgrade={1: _first, 2: _first})
    assert (kind.version, set(kind.upgrade)) == (3, {1, 2})
    assert _register("test.plain").version == 1
    for properties, fault in [
        ({"version": 0}, "must be at least 1 .it is 0"),
        ({"version": 2}, r"version 2 of 'test\.refused' has no upgrade from 1$"),
        ({"version": 4, "upgrade": {2: _first}}, "has no upgrade from 1, 3$"),
        ({"upgrade": {1: _first}}, "can't have an upgrade from 1$"),
        ({"version": 2, "upgrade": {1: _first, 7: _first}}, "can't have an upgrade from 7$"),
    ]:
        with pytest.raises(ValueError, match=fault):
            _register("test.refused", **properties)
    for step in (_awaits, None):
        with pytest.raises(TypeError, match=r"must be a plain function, and .* is not"):
            _register("test.refused", version=2, upgrade={1: step})
    assert "test.refused" not in REGISTRY


def test_a_kind_has_a_cron_expression_in_a_time_zone():
    weekly = _register("test.weekly", cron="0 6 * * mon", tz="Pacific/Auckland")
    assert weekly.timing == Cron("0 6 * * mon", "Pacific/Auckland")
    assert _register("test.utc", cron="0 6 * * mon").timing == Cron("0 6 * * mon", "UTC")


@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ({"cron": "0 6 * *"}, "must have five fields"),
        ({"cron": "0 25 * * *"}, "cron '0 25 * * *': bad hour"),
        ({"cron": "0 6 * * mon", "tz": "Mars/Base"}, "tz 'Mars/Base' is no time zone"),
        ({"tz": "Pacific/Auckland"}, "tz is for cron"),
        ({"cron": "0 6 * * mon", "every": 60}, "every or cron, not both"),
        ({"every": 0}, "every must be whole seconds"),
    ],
)
def test_an_invalid_schedule_is_refused_at_its_declaration(properties, fault):
    with pytest.raises(ValueError, match=re.escape(fault)) as refused:
        _register("test.refused", **properties)
    assert str(refused.value).startswith("@task('test.refused'): ")
    assert "test.refused" not in REGISTRY


def test_a_name_can_be_registered_once():
    _register("test.taken")

    async def other(_context) -> None:
        """Does something else."""

    with pytest.raises(ValueError, match=r"two tasks are called 'test.taken': .*_body and .*other"):
        task("test.taken")(other)
    assert REGISTRY["test.taken"].body is _body


def test_two_packages_cannot_register_one_name():
    namesake = type(_body)(_body.__code__, {"__name__": "elsewhere"}, "_body")
    namesake.__qualname__ = _body.__qualname__
    _register("test.namesake")
    assert namesake.__module__ == "elsewhere"
    with pytest.raises(ValueError, match=r"elsewhere\._body"):
        task("test.namesake")(namesake)


def test_a_reimported_module_can_register_again():
    _register("test.again")
    assert _register("test.again", max_attempts=9).max_attempts == 9


def test_every_task_name_of_services_is_registered():
    assert set(TaskName) <= set(load_tasks())


def test_the_scheduled_kinds():
    scheduled = {name for name, kind in load_tasks().items() if kind.timing}
    assert scheduled == {TaskName.WARM_CACHE} | {
        name for name in TaskName if name.startswith("maintenance.")
    }


def test_the_services_tasks_use_the_services_queues():
    assert {REGISTRY[name].queue for name in TaskName} <= QUEUES


def test_a_worker_serves_the_queues_of_all_kinds():
    served = {queue.name for queue in celeryconfig.task_queues}
    assert {kind.queue for kind in load_tasks().values()} <= served
    assert served >= QUEUES
    assert celeryconfig.task_default_queue in served
    _register("test.own_queue", queue="of-a-package")
    assert "of-a-package" in queues()


@pytest.fixture
def logged(monkeypatch):
    """The errors that the registry logs."""
    events = []
    log = SimpleNamespace(exception=lambda event, **fields: events.append((event, fields)))
    monkeypatch.setattr(registry, "log", log)
    return events


@pytest.fixture
def plug(logged, monkeypatch, tmp_path):
    """Makes modules of installed packages and loads them as a worker does."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def plug(**modules: str) -> None:
        for name, code in modules.items():
            (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        found = [EntryPoint(name, name, plugins.TASKS) for name in modules]
        monkeypatch.setattr(
            registry, "entry_points", lambda group: found * (group == plugins.TASKS)
        )
        load_tasks.__wrapped__()

    yield plug
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def _module(name: str, more: str = "") -> str:
    return f"""
from tasks.registry import task

@task({name!r})
async def body(context):
    pass

{more}
"""


def test_a_broken_package_registers_nothing_and_does_not_stop_others(plug, logged):
    plug(
        plug_first=_module("test.first"),
        plug_breaks=_module("test.half", "raise OSError('no license')"),
        plug_last=_module("test.last"),
    )
    assert {"test.first", "test.last"} <= REGISTRY.keys()
    assert "test.half" not in REGISTRY
    assert set(TaskName) <= REGISTRY.keys()
    fields = {"plugin": "plug_breaks", "module": "plug_breaks", "package": None}
    assert logged == [("plugin_failed", fields)]


@pytest.mark.parametrize(
    "code", ["import no_such_module", "this is no Python", "raise SystemError", "0 / 0"]
)
def test_any_error_of_a_package_is_caught(plug, code):
    before = dict(REGISTRY)
    plug(plug_broken=code)
    assert before == REGISTRY


@pytest.mark.parametrize("taken", ["images.process", "test.first"])
def test_a_package_cannot_take_the_name_of_another_kind(plug, taken):
    plug(plug_first=_module("test.first"), plug_thief=_module(taken))
    assert REGISTRY["images.process"].body.__module__ == "tasks.images"
    assert REGISTRY["test.first"].body.__module__ == "plug_first"


def test_packages_are_loaded_once_a_process(plug):
    plug(plug_late=_module("test.late"))
    assert load_tasks() is load_tasks() is REGISTRY


def test_an_application_that_can_not_be_imported_is_a_fault_of_the_settings():
    with pytest.raises(SettingsError, match=r"^TASK_APP: no_such_shop can't be imported: "):
        registry._load_app("no_such_shop")  # noqa: SLF001  `load_tasks` runs once a process


def test_a_transport_that_is_unknown_is_a_fault_of_the_settings():
    celeryconfig.register_transport("filesystem://")
    with pytest.raises(SettingsError, match=r"^BROKER_URL: there is no transport pigeon://, but "):
        celeryconfig.register_transport("pigeon://coop")
