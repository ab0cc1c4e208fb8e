"""`make run OBSERVE=1`: what watches the service is up, closed to strangers, and ends with it."""

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from deploy.embedded.service import ROOT
from deploy.observe.dashboards import DASHBOARDS
from deploy.observe.dashboards.definition import WINDOW
from tests import photos
from tests.browser import chromium
from tests.factories import ADMIN, COURSE, bearer, free_ports
from tests.observing import load, observed_service, query, targets
from tests.processes import connections_of, processes_of

JOBS = {
    *("api", "worker", "flower", "s3", "node", "postgres", "redis-cache", "redis-broker", "nginx"),
    *("prometheus", "alertmanager"),
}
RULES = {path.name for path in (ROOT / "deploy" / "observe" / "rules").glob("*.yml")}
LOAD_SECONDS = 150
EVIL = {"Origin": "https://evil.example.org"}


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """The service and what watches it."""
    with observed_service(tmp_path_factory.mktemp("observed")) as running:
        yield running


def wait_until(check, seconds):
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def test_prometheus_reads_the_metrics_of_every_part(observed):
    def known():
        found = targets(observed.prometheus)
        return found if "unknown" not in found.values() else None

    found = wait_until(known, 30)
    assert {name.split()[0] for name in found} == JOBS
    assert set(found.values()) == {"up"}, found
    assert len([name for name in found if name.startswith("worker ")]) == 2


def test_the_rules_are_loaded_and_alerts_reach_alertmanager(observed):
    rules = httpx.get(f"{observed.prometheus}/api/v1/rules").json()["data"]["groups"]
    assert {Path(group["file"]).name for group in rules} == RULES
    assert not [rule["name"] for group in rules for rule in group["rules"] if rule.get("lastError")]

    def received():
        answer = httpx.get(f"{observed.alertmanager}/api/v2/alerts")
        return [each for each in answer.json() if each["labels"]["alertname"] == "Watchdog"]

    (alert,) = wait_until(received, 30)
    runbook = alert["annotations"]["runbook_url"]
    assert runbook == f"{observed.prometheus}/user/docs/runbooks.md#watchdog"


def test_strangers_read_metrics_at_most(observed):
    supervisor = psutil.Process(observed.service.process.pid)
    parts = [supervisor, *supervisor.children(recursive=True)]
    addresses = {
        each.laddr.ip
        for connections in connections_of(parts).values()
        for each in connections
        if each.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}

    shown = httpx.get(f"{observed.prometheus}/api/v1/query?query=up", headers=EVIL)
    assert "access-control-allow-origin" not in shown.headers
    for path in ("/-/quit", "/-/reload", "/api/v1/admin/tsdb/snapshot"):
        assert httpx.post(f"{observed.prometheus}{path}").is_error
    at = observed.alertmanager.rpartition("@")[2]
    for path in ("alerts", "silences"):
        assert httpx.post(f"http://{at}/api/v2/{path}", json={}).status_code == 401
    for job, address in (name.split() for name in targets(observed.prometheus)):
        if job in {"node", "postgres", "redis-cache", "redis-broker"}:
            with pytest.raises(httpx.TransportError):
                httpx.get(f"https://{address}/metrics", verify=False)  # noqa: S501  its certificate is its own


def test_its_files_are_private(observed):
    folder = observed.service.data_dir / "run" / "observe"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    for name in ("flower.password", "alertmanager.password", "exporters.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_the_table_names_the_pages(observed):
    told = observed.service.output.read_text()
    for path in ("/consoles/service.html", "/classic/alerts"):
        assert f"{observed.prometheus}{path}" in told
        assert httpx.get(f"{observed.prometheus}{path}").is_success
    assert f"{observed.traces}/traces" in told


def evaluate_often(observed):
    """Evaluate all rules every few seconds, as after hours of running."""
    for file in (observed.service.data_dir / "run" / "observe" / "rules").iterdir():
        file.write_text(re.sub(r"interval: \w+", "interval: 5s", file.read_text()))
    (prometheus,) = (
        child
        for child in psutil.Process(observed.service.process.pid).children()
        if child.name() == "prometheus"
    )
    prometheus.send_signal(signal.SIGHUP)


async def test_under_load_every_query_of_every_panel_has_samples(observed):
    evaluate_often(observed)
    left = {
        (dashboard.name, panel.title, query.expression.replace(WINDOW, "1m"))
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries
    }
    assert len(left) > 100
    deadline = time.monotonic() + LOAD_SECONDS
    async with load(observed):
        while left and time.monotonic() < deadline:
            await asyncio.sleep(1)
            for each in sorted(left):
                if await asyncio.to_thread(query, observed.prometheus, each[2]):
                    left.discard(each)
    assert not left


async def test_the_consoles_draw_every_panel_without_another_server(observed):
    async with chromium() as browser:
        page = await browser.new_page()
        faults, requests = [], []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        for dashboard in DASHBOARDS:
            await page.goto(f"{observed.prometheus}/consoles/{dashboard.name}.html")
            await page.wait_for_selector("body[data-drawn]")
            assert await page.locator(".panel").count() == len(list(dashboard.panels))
            drawn = await page.locator(".panel .tile, .panel polyline").count()
            assert drawn >= len(list(dashboard.panels))
            assert await page.locator(".empty").all_text_contents() == [], dashboard.name
        assert faults == []
        assert [url for url in requests if not url.startswith((observed.prometheus, "data:"))] == []


def test_the_trace_of_an_upload_is_found_by_its_request_id(observed):
    with httpx.Client(base_url=observed.nginx) as client:
        token = client.post("/api/v1/auth/login", json=ADMIN).json()["token"]
        answer = client.post(
            "/api/v1/courses/upload",
            headers=bearer(token),
            data=COURSE,
            files={"image": ("photo.jpg", photos.jpeg(400, 300))},
        )
    request_id = answer.headers["X-Request-ID"]

    def whole():
        shown = httpx.get(f"{observed.traces}/traces", params={"id": request_id}).text
        return "images.process" in shown and "/api/v1/courses/upload" in shown

    # Each process sends its spans by itself, so either may come first.
    assert wait_until(whole, 60)


def test_a_runbook_is_a_page_with_a_section_for_each_alert(observed):
    rules = httpx.get(f"{observed.prometheus}/api/v1/rules").json()["data"]["groups"]
    alerts = [rule for group in rules for rule in group["rules"] if rule["type"] == "alerting"]
    base = f"{observed.prometheus}/user/docs/runbooks.md"
    addresses = {rule["annotations"]["runbook_url"] for rule in alerts}
    sections = {
        address.removeprefix("{{ $externalLabels.docs }}docs/runbooks.md#") for address in addresses
    }
    page = httpx.get(base, follow_redirects=True).text
    assert {name for name in sections if f'<h2 id="{name}">' not in page} == set()


def test_one_ctrl_c_stops_everything(observed):
    assert observed.service.stop(signal.SIGINT) == 0
    assert not processes_of(observed.service.data_dir)


def refused(**environment):
    """Run a supervisor that cannot start; return its exit code and output."""
    ended = subprocess.run(
        (sys.executable, "-m", "deploy.embedded"),
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stderr.splitlines()


@pytest.mark.parametrize("key", ["PROMETHEUS_PORT", "ALERTMANAGER_PORT", "TRACES_PORT"])
def test_a_port_in_use_is_named(key, tmp_path):
    ports = dict(zip(("PORT", "FLOWER_PORT"), map(str, free_ports(2)), strict=True))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        code, lines = refused(DATA_DIR=str(tmp_path), OBSERVE="1", **ports, **{key: port})
    said = f"enroll: {key}: {port} of 127.0.0.1 is taken by another program; set another {key}"
    assert (code, lines) == (2, [said])


def test_missing_programs_are_named_as_packages(tmp_path):
    names = ("PORT", "FLOWER_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "TRACES_PORT")
    ports = dict(zip(names, map(str, free_ports(5)), strict=True))
    code, lines = refused(DATA_DIR=str(tmp_path), OBSERVE="1", PATH=str(tmp_path), **ports)
    assert (code, len(lines)) == (1, 1)
    assert lines[0] == (
        "enroll: OBSERVE=1 needs programs of Debian: apt-get install prometheus "
        "prometheus-alertmanager prometheus-node-exporter prometheus-postgres-exporter "
        "prometheus-redis-exporter"
    )
