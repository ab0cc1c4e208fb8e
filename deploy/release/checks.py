"""What is checked before a release."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

from deploy.observe.prometheus_api import PrometheusAway
from deploy.observe.slo import gate, spec
from deploy.release.http import HTTP_OK, Answer, Unreachable, get
from deploy.release.plan import Plan
from deploy.verdict import EXIT_NOT_CHECKED, Verdict

LINTER_SECONDS = 300
SLO, LINTER = "error budgets", "schema linter"


class Check(NamedTuple):
    """A check's name, outcome and reason."""

    name: str
    outcome: Verdict
    reason: str


def run(plan: Plan) -> list[Check]:
    """Run the checks that need no instance."""
    return [_error_budgets(plan), _schema_linter(plan)]


def _error_budgets(plan: Plan) -> Check:
    if not plan.checks.slo:
        return Check(SLO, Verdict.NOT_CHECKED, "the plan says `slo: false`")
    try:
        states = gate.states(spec.load(), plan.prometheus.url)
    except PrometheusAway as error:
        return Check(SLO, Verdict.FAILED, error.message)
    spent = [f"{each.name} is {each.state.value}" for each in states if not each.passes]
    return Check(SLO, Verdict.FAILED if spent else Verdict.PASSED, ", ".join(spent))


def _schema_linter(plan: Plan) -> Check:
    command = plan.checks.schema_linter
    if not command:
        return Check(LINTER, Verdict.NOT_CHECKED, "the plan names no `schema_linter`")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LINTER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(LINTER, Verdict.NOT_CHECKED, f"{command[0]} does not run: {error}")
    reason = (done.stdout + done.stderr).strip()
    outcomes = {0: Verdict.PASSED, EXIT_NOT_CHECKED: Verdict.NOT_CHECKED}
    return Check(LINTER, outcomes.get(done.returncode, Verdict.FAILED), reason)


def incompatibility(plan: Plan) -> str:
    """Return how the two revisions do not go together on the present schema, or an empty text.

    The old one has to answer on the schema that the new one has migrated, the new one on the data
    of the old one, and a client of either must find each field in both, with its type.
    """
    return "; ".join(_differences(plan))


def _differences(plan: Plan) -> Iterator[str]:
    for path in plan.checks.paths:
        answers = {}
        for revision in (plan.stable, plan.canary):
            try:
                answer = get(revision.instances[0], path)
            except Unreachable as error:
                yield error.message
                continue
            if answer.status == HTTP_OK:
                answers[revision.revision] = answer
            else:
                yield f"{revision.revision} answers {path} with {answer.status} on this schema"
        if len(answers) == len((plan.stable, plan.canary)):
            yield from _fields(path, answers)


def _fields(path: str, answers: dict[str, Answer]) -> Iterator[str]:
    try:
        old, new = (dict(_types(json.loads(each.body))) for each in answers.values())
    except ValueError:
        yield f"{path} is no JSON"
        return
    revision = list(answers)[-1]
    for name, kind in old.items():
        if name not in new:
            yield f"{path}: {revision} has no {name}"
        elif "null" not in {kind, new[name]} and kind != new[name]:
            yield f"{path}: {name} is {kind}, and {new[name]} in {revision}"


def _types(value: Any, name: str = "$") -> Iterator[tuple[str, str]]:
    """Yield the path and the type of each value; those of a list's elements are one."""
    match value:
        case dict():
            yield name, "object"
            for key, each in value.items():
                yield from _types(each, f"{name}.{key}")
        case list():
            yield name, "array"
            for each in value:
                yield from _types(each, f"{name}[]")
        case None:
            yield name, "null"
        case bool():
            yield name, "boolean"
        case int() | float():
            yield name, "number"
        case _:
            yield name, "string"
