"""The rules of deploy/slo.yaml: promtool sees each alert fire when it should, and only then."""

import json

import pytest
import yaml

from deploy.observe.slo import rules, spec
from tests import slo_scenarios
from tests.prometheus import RULES, run

pytestmark = pytest.mark.debian
SPEC = spec.load()


def groups_of(slo):
    """Return the groups of the file in the repository that are an objective's."""
    document = yaml.safe_load(rules.FILE.read_text("utf-8"))
    names = {f"{slo.name}-{part}" for part in ("fast", "slow", "alerts")}
    groups = [each for each in document["groups"] if each["name"] in names]
    assert len(groups) == len(names)
    return {"groups": groups}


def test_promtool_accepts_all_rules():
    output = run("promtool", "check", "rules", "--lint-fatal", *sorted(RULES.glob("*.yml")))
    assert "SUCCESS" in output


@pytest.mark.parametrize("slo", SPEC.slos, ids=lambda slo: slo.name)
def test_each_alert_fires_above_and_is_silent_below_at_night_and_over_a_reset(slo, tmp_path):
    groups = groups_of(slo)
    (tmp_path / "rules.yml").write_text(json.dumps(groups))
    chosen = slo_scenarios.scenarios(slo) if slo.sli.events else slo_scenarios.pool_scenarios()
    files = []
    for number, scenario in enumerate(chosen):
        document = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": f"{scenario.step * scenario.pace}m",
            # Promtool's order is random otherwise, and what is older than 5 minutes is not seen.
            "group_eval_order": [each["name"] for each in groups["groups"]],
            "tests": [slo_scenarios.test_of(slo, scenario)],
        }
        files.append(tmp_path / f"test-{number}.yml")
        files[-1].write_text(json.dumps(document))
    run("promtool", "test", "rules", *files)


def test_both_severities_of_alerts_are_tested_firing():
    """A scenario of each objective expects the alert, so that no alert passes by being silent."""
    for slo in SPEC.slos:
        chosen = slo_scenarios.scenarios(slo) if slo.sli.events else slo_scenarios.pool_scenarios()
        found = list(chosen)
        for severity in ("page", "ticket"):
            assert {True, False} == {each.fired[severity] for each in found}, slo.name
