"""docs/plugging-in.md is true: its files are tested, and its commands and programs run."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from course_enrollment.testing.hooks import HooksContract, NotifierContract
from course_enrollment.testing.storage import StorageContract
from course_enrollment.testing.tasks import TasksContract
from infra import plugins
from tasks.registry import REGISTRY
from tests.plugins.packages import EXAMPLE

ROOT = Path(__file__).parent.parent.parent
DOC = ROOT / "docs/plugging-in.md"
BIN = Path(sys.executable).parent
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MOST_LINES = 45


@dataclass
class Block:
    """A fenced block: its language, the file that it shows, and its text."""

    language: str
    file: str
    text: str


SECTIONS = {
    title: [Block(*found) for found in BLOCK.findall(text)]
    for title, text in SECTION.findall(DOC.read_text(encoding="utf-8"))
}


def _run(block: Block, folder: Path) -> None:
    """Run a block as a reader would, but install into the folder and without a network."""
    programs = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    packages = folder / "packages"
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(packages),
        "PIP_TARGET": str(packages),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to disable the index
        "PIP_QUIET": "1",
    }
    command = [*programs[block.language], block.text]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block.text}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("title", SECTIONS)
def test_each_block_runs(title, tmp_path):
    assert SECTIONS[title]
    for block in SECTIONS[title]:
        if block.file:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        else:
            _run(block, tmp_path)


@pytest.mark.parametrize("title", SECTIONS)
def test_each_plug_point_is_short(title):
    assert sum(block.text.count("\n") for block in SECTIONS[title]) < MOST_LINES


def test_every_plug_point_is_documented():
    words = ("tasks", "Hooks", "notifier", "broker", "store", "cache")
    assert [next(word for word in words if word in title) for title in SECTIONS] == list(words)
    groups = set(re.findall(r"`(course_enrollment\.\w+)` \|", DOC.read_text(encoding="utf-8")))
    assert groups == {getattr(plugins, name) for name in dir(plugins) if name.isupper()}


def test_the_package_is_the_one_that_a_real_worker_runs():
    files = [block for block in SECTIONS["A package of tasks"] if block.file]
    there = {path.name for path in EXAMPLE.iterdir() if path.is_file()}
    assert {Path(block.file).name for block in files} == there
    for block in files:
        assert block.text == (EXAMPLE / Path(block.file).name).read_text(encoding="utf-8")


class TestTheImageStore(StorageContract):
    """It passes the contract."""

    @pytest.fixture
    def storage(self, tmp_path):
        return _sqlite_storage(tmp_path)


class TestTheHooks(HooksContract):
    """They pass the contract."""

    @pytest.fixture
    def hooks(self):
        return _shown("Hooks")["Slow"]()


class TestTheNotifier(NotifierContract):
    """It passes the contract."""

    @pytest.fixture
    def notifier(self):
        return _shown("A notifier")["notify"]


class TestThePackageOfTasks(TasksContract):
    """It passes the contract."""

    @pytest.fixture
    def module(self, monkeypatch):
        before = dict(REGISTRY)
        monkeypatch.syspath_prepend(EXAMPLE)
        yield "catalogue_export"
        REGISTRY.clear()
        REGISTRY.update(before)
        sys.modules.pop("catalogue_export")


def _shown(title: str) -> dict[str, object]:
    """Return the names that the program of a section defines."""
    (block,) = SECTIONS[title]
    names: dict[str, object] = {}
    exec(block.text, names)  # noqa: S102  it is ours
    return names


def _sqlite_storage(folder: Path):
    (block,) = SECTIONS["An image store"]
    source = folder / "sqlite_storage.py"
    source.write_text(block.text, encoding="utf-8")
    specification = importlib.util.spec_from_file_location("sqlite_storage", source)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.open_sqlite(f"sqlite://{folder}/objects.db", "/media")
