"""`enroll slo rules --check` and `enroll slo gate`, with a Prometheus that answers as told."""

import json
import os
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.observe.slo import rules, spec
from tests.stub_server import Handler, serving

NAMES = [slo.name for slo in spec.load().slos]
OBJECTIVE, REMAINING = "slo:objective:ratio", "slo:period_error_budget_remaining:ratio"
RATIO = "slo:sli_error:ratio_rate30d"


def enroll(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli", "slo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def prometheus(series: dict[str, dict[str, str]], password: str = ""):
    """Serve instant queries, each objective's value by the name of a series; yield host:port."""

    class Queries(Handler):
        def do_GET(self):
            if password and self.headers["Authorization"] != f"Basic {password}":
                self.send_error(401)
                return
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            assert 'sloth_service="course-enrollment"' in query
            result = [
                {"metric": {"sloth_slo": name}, "value": [0, value]}
                for name, value in series[query.partition("{")[0]].items()
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": {"result": result}}).encode())

    return serving(Queries)


def all_with(value: str) -> dict[str, str]:
    return dict.fromkeys(NAMES, value)


def test_rules_that_differ_fail_the_check_and_are_named(tmp_path):
    assert enroll("rules", "--check").returncode == 0
    other = tmp_path / "slo.rules.yml"
    other.write_text(rules.FILE.read_text("utf-8").replace("14.4", "14.5"))
    run = enroll("rules", "--check", "--output", other)
    assert run.returncode == 1
    assert f"{other} differs from" in run.stderr
    assert enroll("rules", "--output", other).returncode == 0
    assert other.read_bytes() == rules.FILE.read_bytes()


def test_an_unusable_file_is_a_sentence_and_exit_code_2(tmp_path):
    (path := tmp_path / "slo.yaml").write_text(spec.FILE.read_text("utf-8").replace("99.95", "101"))
    run = enroll("rules", "--check", "--file", path)
    assert run.returncode == 2
    assert run.stderr.startswith("enroll: slo.yaml: cached-reads: objective: input should be less")


@pytest.mark.parametrize(
    ("remaining", "code", "state"),
    [("0.25", 0, "left"), ("0", 1, "SPENT"), ("-3.5", 1, "SPENT"), ("NaN", 0, "no events")],
)
def test_the_gate_is_closed_while_a_budget_is_spent(remaining, code, state):
    series = {
        OBJECTIVE: all_with("0.999"),
        REMAINING: all_with("1") | {"availability": remaining},
        RATIO: all_with("0"),
    }
    with prometheus(series) as address:
        run = enroll("gate", "--prometheus", f"http://{address}")
    assert run.returncode == code, run.stderr
    (row,) = (line for line in run.stdout.splitlines() if " availability " in line)
    assert f" {state} " in row
    assert run.stdout.count("│ left ") == len(NAMES) - (state != "left")


def test_an_objective_that_prometheus_does_not_know_closes_the_gate():
    series = {OBJECTIVE: {}, REMAINING: {}, RATIO: {}}
    with prometheus(series) as address:
        run = enroll("gate", "--json", "--prometheus", f"http://{address}")
    assert run.returncode == 1
    assert {each["state"] for each in json.loads(run.stdout)} == {"UNKNOWN"}


def test_the_gate_logs_in_to_prometheus():
    series = {name: all_with("1") for name in (OBJECTIVE, REMAINING, RATIO)}
    with prometheus(series, password="b3BlcmF0b3I6YTpi") as address:
        right = enroll("gate", "--prometheus", f"http://operator:a%3Ab@{address}")
        wrong = enroll("gate", "--prometheus", f"http://operator:x@{address}")
    assert right.returncode == 0, right.stderr
    assert wrong.returncode == 1
    assert wrong.stderr == f"enroll: http://{address} answers with 401\n"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "nothing"])
def test_a_prometheus_that_cannot_be_asked_closes_the_gate(url):
    run = enroll("gate", "--prometheus", url)
    assert run.returncode == 1
    assert url in run.stderr
