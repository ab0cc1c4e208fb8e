"""deploy/slo.yaml: the targets are the reference's, and a fault of the file is one sentence."""

import re

import pytest
import yaml

from deploy.observe.slo import rules, spec
from deploy.observe.slo.spec import SloError, Spec

VALID = {
    "version": "prometheus/v1",
    "service": "shop",
    "slos": [
        {
            "name": "carts",
            "objective": 99.9,
            "description": "Carts are kept.",
            "sli": {
                "events": {
                    "error_query": "sum(rate(lost_total[{{.window}}]))",
                    "total_query": "sum(rate(carts_total[{{.window}}]))",
                }
            },
            "alerting": {
                "name": "CartsBudgetBurn",
                "page_alert": {"labels": {"severity": "page"}},
                "ticket_alert": {"labels": {"severity": "ticket"}},
            },
        }
    ],
}


def changed(path: str, value: object) -> dict:
    """Return the valid document with another value at a path; None removes the key."""
    document = yaml.safe_load(yaml.safe_dump(VALID))
    *folders, key = path.split(".")
    place = document
    for folder in folders:
        place = place[int(folder) if folder.isdigit() else folder]
    if value is None:
        del place[key]
    else:
        place[key] = value
    return document


def load(tmp_path, document) -> Spec:
    (path := tmp_path / "own.yaml").write_text(yaml.safe_dump(document))
    return spec.load(path)


@pytest.mark.parametrize(
    ("name", "objective", "threshold"),
    [
        ("availability", 99.9, None),
        ("cached-reads", 99.95, None),
        ("latency-300ms", 95, 0.3),
        ("latency-1s", 99, 1.0),
        ("database-availability", 99.9, None),
        ("database-100ms", 95, 0.1),
        ("images-200ms", 95, 0.2),
        ("images-availability", 99.99, None),
        ("cache-hits", 85, None),
        ("cache-availability", 99.5, None),
        ("pool-use", 99, 0.8),
        ("tasks-start", 99, 5.0),
        ("tasks-succeed", 99.9, None),
    ],
)
def test_the_targets_are_those_of_the_reference(name, objective, threshold):
    slo = spec.load().slo(name)
    assert (slo.objective, slo.threshold) == (objective, threshold)


NO_EVENTS = (
    *("/health", "/health/live", "/health/ready", "/metrics"),
    *("/console/tasks", "/console/tasks/<task_id:str>", "/console/assets/console.css"),
)


def test_all_objectives_of_requests_leave_out_probes_scrapes_and_the_console():
    for slo in spec.load().slos:
        if slo.sli.events and "http_request" in slo.sli.events.total_query:
            for query in (slo.sli.events.error_query, slo.sli.events.total_query):
                for selector in re.findall(r"\{([^{}]*job[^{}]*)\}", query):
                    matched = re.search(r'route(!~|=~)"([^"]+)"', selector)
                    assert matched, selector
                    operator, pattern = matched.groups()
                    for route in NO_EVENTS:
                        taken = bool(re.fullmatch(pattern, route)) == (operator == "=~")
                        assert not taken, (slo.name, route)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("version", "v2", "own.yaml: version: input should be 'prometheus/v1' (it is 'v2')"),
        ("service", None, "own.yaml: service: field required"),
        ("slos", [], "own.yaml: slos: tuple should have at least 1 item"),
        ("unit", "ms", "own.yaml: unit: extra inputs are not permitted (it is 'ms')"),
        (
            "slos.0.objective",
            100,
            "own.yaml: carts: objective: input should be less than 100 (it is 100)",
        ),
        (
            "slos.0.objective",
            "99.9 percent",
            "own.yaml: carts: objective: input should be a valid number, ",
        ),
        ("slos.0.name", None, "own.yaml: slos[0]: name: field required"),
        ("slos.0.sli.events.total_query", None, "own.yaml: carts: sli.events.total_query: field"),
        (
            "slos.0.sli.events.error_query",
            "sum(rate(lost_total[5m]))",
            "own.yaml: carts: sli.events.error_query: has no range [{{.window}}]",
        ),
        (
            "slos.0.sli.events.error_query",
            "sum(rate(carts_total[{{.window}}]))",
            "own.yaml: carts: sli.events: error_query and total_query are the same",
        ),
        ("slos.0.sli.events", None, "own.yaml: carts: sli: needs either events or raw"),
        (
            "slos.0.alerting.page_alert.labels.severity",
            "critical",
            "own.yaml: carts: alerting.page_alert: labels need severity: page or ticket",
        ),
        ("slos.0.alerting.name", "carts burn", "own.yaml: carts: alerting.name: string should"),
        ("slos", VALID["slos"] * 2, "own.yaml: slos: carts is there twice"),
    ],
)
def test_a_fault_is_a_sentence_that_names_the_objective_and_the_field(
    tmp_path, path, value, sentence
):
    with pytest.raises(SloError) as caught:
        load(tmp_path, changed(path, value))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("text", ["slos: [", "\t", "just words"])
def test_a_file_that_is_no_mapping_is_named(tmp_path, text):
    (path := tmp_path / "own.yaml").write_text(text)
    with pytest.raises(SloError, match=r"^own\.yaml: "):
        spec.load(path)


def test_the_rules_are_made_the_same_each_time_and_are_those_of_the_repository():
    assert rules.render(spec.load()) == rules.render(spec.load()) == rules.FILE.read_text("utf-8")


def alerts(made: Spec) -> dict[str, str]:
    groups = yaml.safe_load(rules.render(made))["groups"]
    return {
        rule["labels"]["sloth_severity"]: rule["expr"]
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    }


def test_an_alert_has_two_burn_rates_each_over_two_windows_and_a_traffic_guard(tmp_path):
    found = alerts(load(tmp_path, VALID))
    for severity, pairs in (
        ("page", [("14.4", "1h", "5m"), ("6", "6h", "30m")]),
        ("ticket", [("3", "1d", "2h"), ("1", "3d", "6h")]),
    ):
        for factor, *windows in pairs:
            for window in windows:
                part = f'ratio_rate{window}{{sloth_id="shop-carts"}}) > {factor} * 0.001'
                assert part in found[severity]
            assert f'increase{windows[0]}{{sloth_id="shop-carts"}}) >= 10' in found[severity]


@pytest.mark.parametrize(("objective", "burn_rate"), [(93.1, True), (93, False), (50, False)])
def test_a_burn_rate_that_can_never_be_seen_becomes_a_threshold(tmp_path, objective, burn_rate):
    made = load(tmp_path, changed("slos.0.objective", objective))
    page = alerts(made)["page"]
    assert ("> 14.4 *" in page) is burn_rate
    assert (" > 1 * " in page) is not burn_rate
    told = list(rules.thresholds(made))
    assert any("14.4 times" in each for each in told) is not burn_rate


def test_a_disabled_alert_is_not_made(tmp_path):
    made = load(tmp_path, changed("slos.0.alerting.page_alert", {"disable": True}))
    assert alerts(made).keys() == {"ticket"}
