"""docs/metrics.md lists what an API and a worker serve, in names that Prometheus's linter takes."""

import asyncio
import re
import subprocess

import pytest
from prometheus_client.core import Metric

from infra.metrics_server import OPENMETRICS
from infra.observability.meters import Meter
from tests import photos
from tests.factories import eventually
from tests.metrics_of import addresses, families, fetch, series
from tests.prometheus import program

ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|(.*?)\|(.*?)\|(.*?)\|(.+)\|$", re.MULTILINE)
LABEL = re.compile(r"`(\w+)`(?: \(([\w ]+)\))?")
# What Prometheus of our version sends.
ACCEPT = (
    f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
INSTANCES = ("api", "worker", "worker-images")


@pytest.fixture(scope="module")
def documented(request):
    """The rows of the table by name: type, labels with their values, unit, instances, meaning."""
    text = (request.config.rootpath / "docs" / "metrics.md").read_text()
    rows = ROW.findall(text)
    assert len(rows) == text.count("\n| `")
    names = [name for name, *_ in rows]
    assert len(names) == len(set(names))
    return {
        name: (kind, dict(LABEL.findall(labels)), unit.strip(), set(of.split()), meaning.strip())
        for name, kind, labels, unit, of, meaning in rows
    }


@pytest.fixture(scope="module")
async def used(service, api):
    """The addresses of all expositions, once each kind of process has done something."""
    course = (await api.upload(photos.jpeg(64, 48))).json()
    await api.settled(course["id"])
    return addresses(service)


def name_of(family: Metric) -> str:
    """Return the name that queries use."""
    return f"{family.name}_total" if family.type == "counter" else family.name


@pytest.mark.parametrize("instance", INSTANCES)
async def test_every_series_is_documented_and_there(used, documented, instance):
    served = {name_of(each): each for each in await families(used[instance])}
    of = instance.partition("-")[0]
    listed = {name for name, row in documented.items() if of in row[3]}
    # It appears with the first poll of the flags.
    assert served.keys() | {"feature_flags_age_seconds"} == listed | {"feature_flags_age_seconds"}
    for name, family in served.items():
        kind, labels, *_ = documented[name]
        assert (name, family.type) == (name, kind)
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == labels.keys(), name
            for label, values in labels.items():
                assert sample.labels[label] in values.split() or not values, name


def test_the_table_has_the_labels_that_are_declared(documented):
    assert Meter.declared.keys() <= documented.keys()
    for name, meter in Meter.declared.items():
        _, labels, unit, of, meaning = documented[name]
        assert labels.keys() == meter.labels.keys(), name
        assert of == set(meter.served_by), name
        assert unit, name
        assert meaning, name
        for label, values in labels.items():
            closed = set(meter.labels[label].closed())
            assert not values or set(values.split()) == closed, name


@pytest.mark.debian
@pytest.mark.parametrize("instance", INSTANCES)
async def test_prometheus_takes_every_name(used, instance):
    command = (program("promtool"), "check", "metrics")
    text = (await fetch(used[instance])).text
    done = await asyncio.to_thread(
        subprocess.run, command, input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("instance", INSTANCES)
async def test_openmetrics_has_the_same_figures(used, instance):
    page = await fetch(used[instance], ACCEPT)
    assert page.headers["content-type"].startswith(f"{OPENMETRICS}; version=1.0.0;")
    assert page.headers["vary"] == "Accept"
    assert page.text.endswith("# EOF\n")
    openmetrics = await series(used[instance], ACCEPT)

    def counts(found):
        """Return what is not of a moment, or of the database's or the processes' work meanwhile."""
        steady = ("http_", "login_", "rate_", "task_", "build_")
        return {each: figure for each, figure in found.items() if each[0].startswith(steady)}

    async def are_the_same():
        text, openmetrics = await series(used[instance]), await series(used[instance], ACCEPT)
        return counts(text) == counts(openmetrics)

    await eventually(are_the_same)
    names = {name for name, _ in openmetrics}
    assert not {name for name in names if name.endswith("_total_total")}
    assert "process_cpu_seconds_total" in names


@pytest.mark.parametrize("accept", ["text/plain", "*/*", "nonsense", "text/plain;version=x"])
async def test_all_others_get_plain_text(used, accept):
    page = await fetch(used["api"], accept)
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_a_version_of_a_client_is_not_repeated(used):
    page = await fetch(used["api"], f"{OPENMETRICS}; version=made-up")
    assert page.headers["content-type"].startswith(f"{OPENMETRICS}; version=1.0.0;")
