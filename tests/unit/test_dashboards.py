"""The dashboards' files are those of the definition, and valid for Grafana and Prometheus."""

import json
import types
import typing
from enum import Enum

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.observe.dashboards import DASHBOARDS
from deploy.observe.dashboards.__main__ import FOLDER, differences, main, rendered
from deploy.observe.dashboards.definition import WINDOW, Kind
from tests.prometheus import run

register_default_plugins()
COLUMNS = 24
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.name)


def document(dashboard):
    return json.loads((FOLDER / "grafana" / f"{dashboard.name}.json").read_text("utf-8"))


def faults(value, hint, where):
    """Yield what differs from Grafana's schema, of which the SDK's types are made."""
    kind, options = typing.get_origin(hint), typing.get_args(hint)
    if kind in {typing.Union, types.UnionType}:
        yield from min((list(faults(value, option, where)) for option in options), key=len)
    elif kind is list and isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, options[0], f"{where}[{number}]")
    elif kind is typing.Literal:
        if value not in options:
            yield f"{where} is none of {options}: {value!r}"
    elif not is_of(value, kind or hint):
        yield f"{where} is no {hint}: {value!r}"
    elif hasattr(value, "to_json"):
        for name, own in typing.get_type_hints(type(value)).items():
            yield from faults(getattr(value, name), own, f"{where}.{name}")


def is_of(value, kind):
    if kind in {object, typing.Any}:
        return True
    if issubclass(kind, Enum):
        return value in set(kind)
    return isinstance(value, int | float if kind is float else kind)


def test_the_files_are_those_of_the_definition():
    assert differences(rendered()) == []


def test_a_difference_is_an_error_that_names_the_file(monkeypatch, capsys):
    monkeypatch.setattr("deploy.observe.dashboards.DASHBOARDS", DASHBOARDS)
    texts = rendered()
    (changed, *_) = sorted(texts)
    monkeypatch.setattr(
        "deploy.observe.dashboards.__main__.rendered", lambda: texts | {changed: "other"}
    )
    assert main(check=True) == 1
    assert capsys.readouterr().err.startswith(f"deploy/observe/consoles/{changed.name} differs")


@each_dashboard
def test_the_document_has_the_fields_and_values_of_grafanas_schema(dashboard):
    found = document(dashboard)
    model = Dashboard.from_json(found)
    assert list(faults(model, Dashboard, "dashboard")) == []
    # Of a field that the schema has not, nothing would be left.
    assert json.loads(JSONEncoder().encode(model)) == found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("gridPos.h", "high"),
        ("fieldConfig.defaults.thresholds.mode", "relative"),
        ("options.legend.placement", "above"),
        ("fieldConfig.defaults.custom.stacking.mode", "sometimes"),
    ],
)
def test_a_value_outside_of_grafanas_schema_is_found(path, value):
    found = document(DASHBOARDS[0])
    part = next(panel for panel in found["panels"] if panel["title"] == "Requests by status")
    *folders, name = path.split(".")
    for folder in folders:
        part = part[folder]
    part[name] = value
    model = Dashboard.from_json(found)
    assert list(faults(model, Dashboard, "dashboard")) != []


@each_dashboard
def test_panels_are_complete_and_do_not_overlap(dashboard):
    panels = document(dashboard)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        references = [target["refId"] for target in panel["targets"]]
        assert references == sorted(set(references))
        assert all(target["legendFormat"] for target in panel["targets"])


def test_addresses_of_dashboards_differ():
    assert len({document(each)["uid"] for each in DASHBOARDS}) == len(DASHBOARDS)


@each_dashboard
def test_figures_fill_their_row(dashboard):
    for row in dashboard.rows:
        figures = [panel.width for panel in row.panels if panel.kind is Kind.FIGURE]
        assert sum(figures) % COLUMNS == 0, row.title


def test_prometheus_parses_every_query(tmp_path):
    rules = [
        {"record": "x", "expr": query.expression.replace(WINDOW, "1m")}
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries
    ]
    assert len(rules) > 100
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    run("promtool", "check", "rules", "--lint=none", file)


@pytest.mark.parametrize("name", ["datasource.yml", "dashboards.yml"])
def test_provisioning_names_what_grafana_needs(name):
    content = yaml.safe_load((FOLDER / "grafana" / name).read_text("utf-8"))
    assert content["apiVersion"] == 1
    (only,) = content.get("datasources") or content["providers"]
    assert only["type"] in {"prometheus", "file"}
