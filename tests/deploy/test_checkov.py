"""checkov finds nothing in deploy/terraform but what is excepted there, with a reason."""

import json
import shutil
import subprocess

from tests.absent import is_absent
from tests.terraform import SOURCE

SENTENCE = 20


def test_checkov_finds_nothing_without_a_reason(tmp_path):
    program = shutil.which("checkov")
    if program is None:
        is_absent("checkov", "checkov", "pipx install")
    options = ("--framework", "terraform", "--skip-path", "moto", "--output", "json")
    done = subprocess.run(
        (program, "--directory", str(SOURCE), *options),
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    results = json.loads(done.stdout)["results"]
    assert [f"{each['check_id']} {each['resource']}" for each in results["failed_checks"]] == []
    assert results["parsing_errors"] == []
    assert len(results["passed_checks"]) > 200
    reasons = {
        each["check_id"]: each["check_result"]["suppress_comment"]
        for each in results["skipped_checks"]
    }
    assert {check for check, reason in reasons.items() if len(reason) < SENTENCE} == set()
