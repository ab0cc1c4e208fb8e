"""`enroll slo rules --check` and `enroll slo gate`, with a Prometheus that answers as told."""

import json
import os
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.observe.slo import rules, spec
from tests import forkserver
from tests.stub_server import Handler, serving

NAMES = [slo.name for slo in spec.load().slos]
OBJECTIVE, REMAINING = "slo:objective:ratio", "slo:period_error_budget_remaining:ratio"
RATIO = "slo:sli_error:ratio_rate30d"


async def enroll(*arguments: object) -> forkserver.Done:
    return await forkserver.enroll("slo", *map(str, arguments), env=os.environ)


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


async def test_rules_that_differ_fail_the_check_and_are_named(tmp_path):
    assert (await enroll("rules", "--check")).code == 0
    other = tmp_path / "slo.rules.yml"
    other.write_text(rules.FILE.read_text("utf-8").replace("14.4", "14.5"))
    done = await enroll("rules", "--check", "--output", other)
    assert done.code == 1
    assert f"{other} differs from" in done.errors
    assert (await enroll("rules", "--output", other)).code == 0
    assert other.read_bytes() == rules.FILE.read_bytes()


async def test_an_unusable_file_is_a_sentence_and_exit_code_2(tmp_path):
    (path := tmp_path / "slo.yaml").write_text(spec.FILE.read_text("utf-8").replace("99.95", "101"))
    done = await enroll("rules", "--check", "--file", path)
    assert done.code == 2
    assert done.errors.startswith("enroll: slo.yaml: cached-reads: objective: input should be less")


@pytest.mark.parametrize(
    ("remaining", "code", "state"),
    [("0.25", 0, "left"), ("0", 1, "SPENT"), ("-3.5", 1, "SPENT"), ("NaN", 0, "no events")],
)
async def test_the_gate_is_closed_while_a_budget_is_spent(remaining, code, state):
    series = {
        OBJECTIVE: all_with("0.999"),
        REMAINING: all_with("1") | {"availability": remaining},
        RATIO: all_with("0"),
    }
    with prometheus(series) as address:
        done = await enroll("gate", "--prometheus", f"http://{address}")
    assert done.code == code, done.errors
    (row,) = (line for line in done.output.splitlines() if " availability " in line)
    assert f" {state} " in row
    assert done.output.count("│ left ") == len(NAMES) - (state != "left")


async def test_an_objective_that_prometheus_does_not_know_closes_the_gate():
    series = {OBJECTIVE: {}, REMAINING: {}, RATIO: {}}
    with prometheus(series) as address:
        done = await enroll("gate", "--json", "--prometheus", f"http://{address}")
    assert done.code == 1
    assert {each["state"] for each in json.loads(done.output)} == {"UNKNOWN"}


async def test_the_gate_logs_in_to_prometheus():
    series = {name: all_with("1") for name in (OBJECTIVE, REMAINING, RATIO)}
    with prometheus(series, password="b3BlcmF0b3I6YTpi") as address:
        right = await enroll("gate", "--prometheus", f"http://operator:a%3Ab@{address}")
        wrong = await enroll("gate", "--prometheus", f"http://operator:x@{address}")
    assert right.code == 0, right.errors
    assert wrong.code == 1
    assert wrong.errors == f"enroll: http://{address} answers with 401\n"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "nothing"])
async def test_a_prometheus_that_cannot_be_asked_closes_the_gate(url):
    done = await enroll("gate", "--prometheus", url)
    assert done.code == 1
    assert url in done.errors
