"""The checks before a release: what is not checked has not passed."""

import json
import sys

import pytest

from deploy.release import checks
from deploy.verdict import Verdict
from tests.releasing import plan
from tests.stub_server import Handler, serving

COURSES = {"data": [{"id": "a", "title": "b", "image": None, "seats": 3}], "total": 1}


def revision(content, status=200):
    """Serve a response during a block, which gets host:port."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    class Responses(Handler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

    return serving(Responses)


def found(old, new, *, old_status=200, new_status=200):
    """Return how two revisions differ."""
    with revision(old, old_status) as stable, revision(new, new_status) as canary:
        return checks.incompatibility(
            plan(
                stable={"revision": "1.0.0", "instances": [stable]},
                canary={"revision": "1.1.0", "instances": [canary]},
                checks={"paths": ["/courses"]},
            )
        )


def course(**changes):
    """Return the courses with another one."""
    return COURSES | {"data": [COURSES["data"][0] | changes]}


@pytest.mark.parametrize("new", [COURSES, course(credits=6), course(image={"url": "c"})])
def test_revisions_that_go_together(new):
    assert found(COURSES, new) == ""


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        (course(seats="3"), "/courses: $.data[].seats is number, and string in 1.1.0"),
        ({"data": [{"id": "a"}], "total": 1}, "/courses: 1.1.0 has no $.data[].title"),
        (b"<html>", "/courses is no JSON"),
    ],
)
def test_a_field_that_clients_of_the_old_one_miss(new, fault):
    assert fault in found(COURSES, new)


def test_each_revision_has_to_answer_on_the_schema():
    assert found(COURSES, COURSES, old_status=500) == (
        "1.0.0 answers /courses with 500 on this schema"
    )
    assert "1.1.0 answers /courses with 503" in found(COURSES, COURSES, new_status=503)
    gone = plan(canary={"revision": "1.1.0", "instances": ["127.0.0.1:1"]})
    assert "127.0.0.1:1/api/v1/courses?limit=5 does not answer" in checks.incompatibility(gone)


def linted(*command):
    """Return the outcome of the schema linter."""
    return checks.run(plan(checks={"slo": False, "schema_linter": list(command)}))[1]


def test_the_schema_linter_passes_fails_or_is_not_checked():
    program = (sys.executable, "-c")
    assert linted(*program, "").outcome is Verdict.PASSED
    failed = linted(*program, "raise SystemExit('a table is renamed')")
    assert (failed.outcome, failed.reason) == (Verdict.FAILED, "a table is renamed")
    assert linted(*program, "raise SystemExit(3)").outcome is Verdict.NOT_CHECKED
    assert linted().outcome is Verdict.NOT_CHECKED
    assert linted("/no/such/linter").outcome is Verdict.NOT_CHECKED


def test_error_budgets_that_can_not_be_read_have_not_passed():
    away = {"url": "http://127.0.0.1:1"}
    found = checks.run(plan(prometheus=away))[0]
    assert (found.outcome, "does not answer" in found.reason) == (Verdict.FAILED, True)
    skipped = checks.run(plan(checks={"slo": False}))[0]
    assert skipped.outcome is Verdict.NOT_CHECKED
