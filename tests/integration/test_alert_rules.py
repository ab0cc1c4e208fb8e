"""alerts.yml: each alert fires in its case and in no other; each has severity, words, a runbook."""

import json
import re

import yaml

from deploy.observe.slo import rules
from tests import alert_cases
from tests.prometheus import ROOT, RULES, run

SLUG = re.compile(r"[^a-z0-9 -]")


def alerts():
    """Return all alerts, of causes and of objectives."""
    for file in (RULES / "alerts.yml", rules.FILE):
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


def sections():
    """Return the sections of the runbooks by their anchors."""
    text = (ROOT / "docs" / "runbooks.md").read_text("utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return {
        SLUG.sub("", title.lower()).replace(" ", "-"): body
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_each_alert_fires_in_its_case_and_no_other_does(tmp_path):
    labels = {
        rule["alert"]: rule["labels"] for rule in alerts() if "sloth_id" not in rule["labels"]
    }
    assert alert_cases.FIRING.keys() == labels.keys()
    document = {
        "rule_files": [str(RULES / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [
            alert_cases.test_of(alert, changes, beside, is_cause="cause" in labels[alert])
            for alert, cases in alert_cases.FIRING.items()
            for changes, beside in cases
        ],
    }
    (file := tmp_path / "alerts.test.yml").write_text(json.dumps(document))
    run("promtool", "test", "rules", file)


def test_each_alert_has_a_severity_a_summary_and_a_runbook_with_three_parts():
    known = sections()
    used = set()
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket", "info"}, rule["alert"]
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        url = rule["annotations"]["runbook_url"]
        assert url == f"{{{{ $externalLabels.docs }}}}docs/runbooks.md#{rule['alert'].lower()}"
        section = known[rule["alert"].lower()]
        used.add(rule["alert"].lower())
        for part in ("**What it means.**", "**How to look.**", "**What to do.**"):
            assert part in section, (rule["alert"], part)
        assert "```sh\n" in section, rule["alert"]
    assert used == known.keys() - {"how-to-use-this-page"}, "a section without an alert"
