"""Workers of two releases run beside each other, and each runs tasks that the other enqueued.

tests/data/task_arguments.json has the version and the arguments of each kind of the release that
runs. Other arguments are another version of the kind, for which its workers wait for new ones; or a
new argument is optional first, and the release after may send it. A kind stays for one release
after its last caller. With the version of the service, `python -m tests.unit.test_task_arguments`
writes the file anew.
"""

import ast
import inspect
import json
from pathlib import Path

import pytest

from tasks.registry import BUILT_IN, REGISTRY, load_tasks

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "data" / "task_arguments.json"
RUNNING = json.loads(FILE.read_text("utf-8"))
CALLERS = ("services", "tasks", "worker", "api", "cli", "infra")


def parameters(name):
    """Return the parameters of a kind, without the context."""
    return list(inspect.signature(REGISTRY[name].body).parameters.values())[1:]


def arguments():
    """Return the version and the arguments of each kind of the service."""
    load_tasks()
    own = [kind for kind in REGISTRY.values() if kind.body.__module__ in BUILT_IN]
    return {
        str(kind.name): {
            "version": kind.version,
            "arguments": [each.name for each in parameters(kind.name)],
        }
        for kind in own
    }


def is_of_the_running_version(name):
    """Return whether the workers of the running release run what this one enqueues."""
    load_tasks()
    return name in RUNNING and REGISTRY[name].version == RUNNING[name]["version"]


def sent():
    """Yield the name of a kind and the arguments, of each call of `enqueue` that is literal."""
    for path in (path for room in CALLERS for path in (ROOT / room).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "enqueue":
                name, args = call.args[:2] if len(call.args) > 1 else (None, None)
                if isinstance(name, ast.Attribute) and isinstance(args, ast.Dict):
                    yield name.attr, {key.value for key in args.keys}


@pytest.mark.parametrize("name", list(filter(is_of_the_running_version, RUNNING)))
def test_a_worker_of_this_release_runs_what_the_running_one_enqueued(name):
    body = REGISTRY[name].body
    inspect.signature(body).bind(object(), **dict.fromkeys(RUNNING[name]["arguments"], ""))


def test_a_worker_of_the_running_release_runs_what_this_one_enqueues():
    from services.task_names import TaskName  # noqa: PLC0415

    calls = [(TaskName[constant].value, keys) for constant, keys in sent()]
    assert {name for name, _ in calls} >= {"images.process", "images.remove"}
    for name, keys in calls:
        if is_of_the_running_version(name):
            assert keys == set(RUNNING[name]["arguments"]), (
                f"workers of the running release refuse {name}"
            )


if __name__ == "__main__":
    FILE.write_text(json.dumps(arguments(), indent=2) + "\n", "utf-8")
