"""alertmanager.yml: amtool accepts it, each severity has its receiver, and no secret is in it."""

import re

import pytest
import yaml

from deploy.observe import alerting
from tests.prometheus import run

pytestmark = pytest.mark.debian
DOCUMENT = yaml.safe_load(alerting.FILE.read_text("utf-8"))


@pytest.mark.parametrize("webhook", [None, "http://127.0.0.1:9/alerts"])
def test_amtool_accepts_the_shipped_and_the_local_configuration(tmp_path, webhook):
    assert "SUCCESS" in run("amtool", "check-config", alerting.FILE)
    (local := tmp_path / "local.yml").write_text(alerting.local_config(webhook))
    assert "SUCCESS" in run("amtool", "check-config", local)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("severity=page", "alertname=DatabaseUnreachable"), "page"),
        (("severity=page", "alertname=AvailabilityBudgetBurn", "sloth_slo=availability"), "page"),
        (("severity=ticket", "alertname=TasksFailed"), "ticket"),
        (("severity=info", "alertname=SpansDropped"), "info"),
        (("severity=info", "alertname=Watchdog"), "dead-mans-switch"),
        (("severity=info", "alertname=RecentCause"), "none"),
        (("alertname=Unheard",), "ticket"),
    ],
)
def test_each_severity_has_its_receiver(tmp_path, labels, receiver):
    (local := tmp_path / "local.yml").write_text(alerting.local_config())
    for file in (alerting.FILE, local):
        run(
            *("amtool", "config", "routes", "test", f"--config.file={file}"),
            *(f"--verify.receivers={receiver}", *labels),
        )


def test_a_page_goes_to_pagerduty_slack_mail_and_webhook_and_a_ticket_wakes_nobody():
    kinds = {
        each["name"]: {key.removesuffix("_configs") for key in each if key != "name"}
        for each in DOCUMENT["receivers"]
    }
    assert kinds["page"] == {"pagerduty", "slack", "email", "webhook"}
    assert kinds["ticket"] == {"slack", "webhook"}
    assert kinds["none"] == set()


def test_all_secrets_are_files():
    text = alerting.FILE.read_text("utf-8")
    files = set(re.findall(r"\w+_file: (\S+?)}?(?: +#.*)?$", text, re.MULTILINE))
    assert files == {
        f"secrets/{name}"
        for name in ("slack_url", "smtp_password", "pagerduty_key", "webhook_token")
    }
    assert not re.search(
        r"^\s*-? ?(api_url|routing_key|service_key|\w*password|credentials):", text, re.MULTILINE
    )


def test_the_local_configuration_sends_pages_and_tickets_to_one_webhook_and_needs_no_secret():
    document = yaml.safe_load(alerting.local_config("http://127.0.0.1:9/alerts"))
    assert "secrets" not in str(document)
    sending = {each["name"] for each in document["receivers"] if "webhook_configs" in each}
    assert sending == {"page", "ticket"}
    assert not any(
        "webhook_configs" in each for each in yaml.safe_load(alerting.local_config())["receivers"]
    )
    assert document["inhibit_rules"] == DOCUMENT["inhibit_rules"]
    assert document["route"] == DOCUMENT["route"]
