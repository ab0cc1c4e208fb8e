"""`make security`: each check finds its kind of fault, and an impossible check does not pass."""

import json
import shutil
import subprocess
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.security import checks
from deploy.security.__main__ import EXIT_FOUND, exit_code, main
from deploy.security.outcome import Outcome, Verdict
from deploy.security.rules import formatted_sql
from deploy.verdict import EXIT_NOT_CHECKED
from tests.stub_server import Handler, serving

ROOT = Path(__file__).parent.parent.parent
HASH = "sha256:" + "0" * 64
FLAW = {
    "id": "PYSEC-2026-1",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9.9"}]}],
        }
    ],
}
PASSED, FOUND, NOT_CHECKED = (Outcome(verdict, "") for verdict in Verdict)


@pytest.fixture
def tree(tmp_path):
    """A folder with the configuration and an empty module for each of ours."""
    shutil.copy(ROOT / ".secrets.baseline", tmp_path)
    configuration = (ROOT / "pyproject.toml").read_text()
    contracts = tomllib.loads(configuration)["tool"]["importlinter"]
    # The empty modules lack the imports that are exempt.
    unmatched = 'unmatched_ignore_imports_alerting = "none"\nignore_imports'
    (tmp_path / "pyproject.toml").write_text(configuration.replace("ignore_imports", unmatched))
    # The contracts name modules of each package.
    for package in contracts["root_packages"]:
        for module in (ROOT / package).rglob("*.py"):
            stub = tmp_path / module.relative_to(ROOT)
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.write_text('"""A module."""\n')
    return tmp_path


def write(tree, text, path="services/errors.py"):
    (tree / path).write_text(text)
    return tree


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import pickle\n\npickle.loads(b'')\n", "S301"),
        ("import yaml\n\nyaml.load('', yaml.Loader)\n", "S506"),
        ("NAME = input()\nQUERY = f'SELECT * FROM users WHERE name = {NAME}'\n", "S608"),
        ("eval(input())\n", "S307"),
        ("import subprocess\n\nsubprocess.run('ls ' + input(), shell=True)\n", "S602"),
        ("import requests\n\nrequests.get('https://x', verify=False, timeout=1)\n", "S501"),
    ],
)
def test_ruff_reports_violations(tree, text, code):
    outcome = checks.ruff(write(tree, text))
    assert outcome.verdict is Verdict.FOUND
    assert any(f" {code} " in finding for finding in outcome.findings)


def test_bandit_reports_weak_hashes(tree):
    outcome = checks.bandit(write(tree, "import hashlib\n\nhashlib.md5(b'')\n"))
    assert outcome.verdict is Verdict.FOUND
    assert "B324" in outcome.findings[0]


def test_bandit_does_not_pass_if_a_file_cannot_be_read(tree):
    assert checks.bandit(write(tree, "def (\n")).verdict is Verdict.NOT_CHECKED


@pytest.mark.parametrize("module", ["pickle", "marshal", "shelve", "yaml"])
def test_import_contracts_forbid_code_that_executes_data(tree, module):
    assert checks.contracts(tree).verdict is Verdict.PASSED
    outcome = checks.contracts(write(tree, f"import {module}\n"))
    assert outcome.verdict is Verdict.FOUND
    assert f"services.errors -> {module}" in outcome.findings[0]


@pytest.mark.parametrize(
    "call",
    [
        'rows(f"LOCK TABLE {name}")',
        'connection.execute("SET x = %s" % name)',
        'connection.fetch("SELECT " + name)',
        'database.execute_script("DROP TABLE {}".format(name))',
        'RawSQL(f"count({name})")',
        'rows("SELECT :name".replace(":name", name))',
        'rows(" ".join(parts))',
    ],
)
def test_sql_made_of_parts_is_reported(call):
    assert len(formatted_sql(f"x = {call}\n", "module.py")) == 1
    assert formatted_sql(f"x = {call}  # noqa: S608  constants\n", "module.py") == []


@pytest.mark.parametrize(
    "code",
    [
        'q = f"LOCK TABLE {name}"\nrows(q)\n',
        'rows(query=f"LOCK TABLE {name}")\n',
        'def ask(name):\n    q: str = "SELECT " + name\n    return rows(q)\n',
        'async def ask(name):\n    q = "SELECT 1"\n    q += name\n    await rows(q)\n',
        'Q = "SELECT {}".format(name)\ndef ask():\n    return fetch(sql=Q)\n',
        'def ask(name):\n    if q := f"SELECT {name}":\n        rows(q)\n',
        'A = "SELECT 1"\nB = A + name\nrows(A if name else B)\n',
        'def ask(name):\n    a = f"SELECT {name}"\n    b = a\n    def inner():\n        rows(b)\n',
    ],
)
def test_sql_made_of_parts_in_a_variable_is_reported(code):
    assert len(formatted_sql(code, "module.py")) == 1


@pytest.mark.parametrize(
    "code",
    [
        'A = "SELECT 1"\nB = A + " AND TRUE"\nrows(A if name else B, timeout=name)\n',
        'q = f"SELECT {A}"  # noqa: S608  a constant\nrows(q)\n',
        'q = f"{name}"\ndef ask(q):\n    return rows(q)\n',
        'A = "x"\nQ = f"SELECT {A}"\nrows(Q)\n',
        'def other(name):\n    q = f"{name}"\ndef ask(q):\n    return rows(q)\n',
        'q = "SELECT 1"\nq = q + " AND TRUE"\nq = q\nrows(q)\n',
    ],
)
def test_sql_of_constants_is_accepted(code):
    assert formatted_sql(code, "module.py") == []


@pytest.mark.parametrize(
    "call", ['rows("SELECT $1", name)', 'rows("SELECT " + "1")', 'rows(f"SELECT 1")', "rows(QUERY)"]
)
def test_literal_sql_is_accepted(call):
    assert formatted_sql(f"x = {call}\n", "module.py") == []


def commit(tree, text, path="services/violation.py"):
    """Write a file and add it to git."""
    (tree / path).parent.mkdir(exist_ok=True)
    write(tree, text, path)
    for command in (["init", "--quiet"], ["add", path]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    return tree


@pytest.mark.parametrize("path", ["services/violation.py", "tests/violation.py"])
def test_a_vendors_secret_is_reported_even_in_tests(tree, path):
    key = "AKIA" + "Q3EGUZ5XHLT7VJWK"
    outcome = checks.secrets(commit(tree, f'ID = "{key}"\n', path))
    assert outcome.verdict is Verdict.FOUND
    assert outcome.findings[0].startswith(f"{path}:1: AWS")


def test_a_password_is_reported_in_code_only(tree):
    text = 'PASSWORD = "{}"\n'.format("korrekt-pferd-batterie")
    assert checks.secrets(commit(tree, text, "tests/made_up.py")).verdict is Verdict.PASSED
    assert checks.secrets(commit(tree, text)).verdict is Verdict.FOUND


def test_without_a_checkout_secrets_are_not_checked(tree):
    assert checks.secrets(tree).verdict is Verdict.NOT_CHECKED


@contextmanager
def osv(answer, status=200):
    """Serve a fake vulnerability database, for tests have no network."""

    class Database(Handler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    with serving(Database) as address:
        yield ("--osv-url", f"http://{address}")


@pytest.fixture
def locked(tree):
    """A folder with one locked dependency."""
    return write(tree, f"jinja2==3.1.6 --hash={HASH}\n", "requirements.lock")


@pytest.mark.parametrize(
    ("answer", "status", "verdict"),
    [
        ({}, 200, Verdict.PASSED),
        ({"vulns": [FLAW]}, 200, Verdict.FOUND),
        ({}, 500, Verdict.NOT_CHECKED),
    ],
)
def test_dependencies_are_checked_against_the_database(locked, answer, status, verdict):
    with osv(answer, status) as options:
        outcome = checks.dependencies(locked, *options)
    assert outcome.verdict is verdict
    if verdict is Verdict.FOUND:
        assert outcome.findings == ("jinja2 3.1.6: PYSEC-2026-1, fixed in ['9.9.9']",)


def test_without_a_network_dependencies_are_not_checked(locked):
    outcome = checks.dependencies(locked, "--osv-url", "http://127.0.0.1:9/")
    assert outcome.verdict is Verdict.NOT_CHECKED


@pytest.mark.parametrize(
    ("outcomes", "offline", "code"),
    [
        ([PASSED, PASSED], False, 0),
        ([PASSED, FOUND, NOT_CHECKED], True, EXIT_FOUND),
        ([PASSED, NOT_CHECKED], False, EXIT_NOT_CHECKED),
        ([PASSED, NOT_CHECKED], True, 0),
    ],
)
def test_an_impossible_check_does_not_pass(outcomes, offline, code):
    assert exit_code(dict(zip("abc", outcomes, strict=False)), offline=offline) == code


@pytest.mark.parametrize(
    ("offline", "says"),
    [(False, "but something was NOT CHECKED"), (True, "NOT CHECKED is not passed")],
)
def test_an_impossible_check_is_printed_as_not_checked(
    monkeypatch, capsys, tmp_path, offline, says
):
    unchecked = Outcome(Verdict.NOT_CHECKED, "no network")
    checked = {"one": lambda _: PASSED, "other": lambda _: unchecked}
    monkeypatch.setattr("deploy.security.__main__.CHECKS", checked)
    assert main(tmp_path, offline=offline) == (0 if offline else EXIT_NOT_CHECKED)
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "other" in line]
    assert "NOT CHECKED" in line
    assert "no network" in line
    assert says in printed


def test_the_bill_of_materials_has_every_locked_package(locked):
    assert checks.bill_of_materials(locked).verdict is Verdict.PASSED
    bill = json.loads((locked / checks.SBOM).read_text())
    assert [(each["name"], each["version"]) for each in bill["components"]] == [("jinja2", "3.1.6")]


def test_every_lock_file_is_checked():
    assert set(checks.LOCKS) == {path.name for path in ROOT.glob("requirements*.lock")}


@pytest.mark.parametrize("check", [checks.bandit, checks.ruff, checks.contracts, checks.secrets])
def test_the_repository_passes(check):
    outcome = check(ROOT)
    assert (outcome.verdict, outcome.findings) == (Verdict.PASSED, ()), outcome.note


def test_the_repository_executes_no_sql_made_of_parts():
    assert checks.sql(ROOT).findings == ()
