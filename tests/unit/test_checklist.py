"""`make release-check`: each line can pass, fail, and be not checked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.checklist import lines
from deploy.checklist.__main__ import EXIT_FAILED, exit_code, main
from deploy.checklist.lines import LINES, Line
from deploy.checklist.outcome import Outcome
from deploy.checklist.suite import Suite
from deploy.verdict import EXIT_NOT_CHECKED, Verdict

ROOT = Path(__file__).parents[2]
PASSED, FAILED, NOT_CHECKED = (Outcome(verdict, verdict.lower()) for verdict in Verdict)
# Runs in a process of its own: pytest inside pytest would share its plugins.
SUITE = """
import sys
from deploy.checklist.suite import Suite
suite = Suite.run("-q", "-p", "no:cacheprovider", "--confcutdir", ".", "-c", "empty.ini", ".")
for files in (sys.argv[1:2], []):
    outcome = suite.outcome(*files)
    print(f"outcome: {outcome.verdict} {outcome.note}")
"""


def outcomes_of(tmp_path, text, file="test_it.py"):
    """Run a file of tests; return the outcomes of the file and of all."""
    (tmp_path / "test_it.py").write_text(text)
    (tmp_path / "empty.ini").write_text("[pytest]\n")
    command = (sys.executable, "-c", SUITE, file)
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        command, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment
    )
    return re.findall(r"^outcome: (.+)$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("def test_a(): pass\ndef test_b(): pass\n", "passed 2 tests"),
        (
            "def test_a(): pass\ndef test_b(): assert False\n",
            "FAILED 1 tests failed: test_it.py::test_b",
        ),
        (
            "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('there is no podman')\n",
            "NOT CHECKED 1 of 2 tests skipped: there is no podman",
        ),
        ("import no_such_module\n", "FAILED 1 tests failed: test_it.py"),
    ],
)
def test_a_files_tests_decide(tmp_path, text, outcome):
    own, total = outcomes_of(tmp_path, text)
    assert own == outcome
    assert total.partition(" ")[0] == outcome.partition(" ")[0]


def test_a_file_that_did_not_run_is_not_checked(tmp_path):
    text = "def test_a(): pass\n"
    own, _ = outcomes_of(tmp_path, text, file="test_other.py")
    assert own == "NOT CHECKED 1 of 1 tests skipped: test_other.py did not run"


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([PASSED, PASSED], 0),
        ([PASSED, NOT_CHECKED], EXIT_NOT_CHECKED),
        ([NOT_CHECKED, FAILED, PASSED], EXIT_FAILED),
    ],
)
def test_the_worst_line_decides(outcomes, code):
    assert exit_code(outcomes) == code


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, Verdict.PASSED), (1, Verdict.FAILED), (3, Verdict.NOT_CHECKED), (-9, Verdict.FAILED)],
)
def test_a_commands_exit_code_decides(code, verdict):
    command = (sys.executable, "-c", f"import os, signal; {_ending(code)}")
    assert lines.run(ROOT, *command, not_checked=3).verdict is verdict


def _ending(code):
    return f"os._exit({code})" if code >= 0 else "os.kill(os.getpid(), signal.SIGKILL)"


def test_a_missing_command_is_not_checked():
    assert lines.run(ROOT, "no-such-command").verdict is Verdict.NOT_CHECKED


def test_a_rollback_that_nothing_documents_fails(tmp_path):
    (rollback,) = (line for line in LINES if line.text.startswith("Rollback"))
    assert rollback.check(tmp_path, Suite()).verdict is Verdict.FAILED


def test_the_table_has_each_line_with_its_result(monkeypatch, capsys):
    monkeypatch.setattr(Suite, "run", lambda *_: Suite())
    listed = (Line("Tests pass", lambda *_: PASSED), Line("Scanned", lambda *_: NOT_CHECKED))
    assert main(ROOT, listed) == EXIT_NOT_CHECKED
    shown = capsys.readouterr().out
    assert re.search(r"Tests pass\s+│ passed", shown)
    assert re.search(r"Scanned\s+│ NOT CHECKED", shown)


def test_the_named_tests_exist():
    named = (*lines.MIGRATION_TESTS, *lines.ROLLBACK_TESTS, *lines.DASHBOARD_TESTS)
    assert [name for name in named if not (ROOT / name).exists()] == []
