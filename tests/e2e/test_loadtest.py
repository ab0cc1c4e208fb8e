"""`make loadtest HOST=…` with a run of a few seconds."""

import asyncio
import csv
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests import photos
from tests.factories import eventually

ROOT = Path(__file__).parents[2]
# The test machine is no place to judge latencies: one objective always holds, and one limit never.
OBJECTIVES = """
version: prometheus/v1
service: course-enrollment
slos:
  - name: availability
    objective: 99.9
    description: Requests are answered.
    sli:
      events:
        error_query: sum(rate(http_request_duration_seconds_count{status=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_request_duration_seconds_count[{{.window}}]))
    alerting: {name: Burn, page_alert: {disable: true}, ticket_alert: {disable: true}}
"""
TARGETS = """
[[target]]
name = "faster than light"
measure = "p95"
below = 0
shapes = ["smoke"]
"""


@pytest.fixture
async def idle(service):
    """No image is replaced while its page is open: earlier tests have left no task."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])

    async def has_ended():
        return await connection.fetchval(
            "SELECT count(*) = 0 FROM tasks "
            "WHERE state IN ('queued', 'running') AND name LIKE 'images.%'"
        )

    await eventually(has_ended)
    await connection.close()


@pytest.mark.usefixtures("idle")
async def test_a_short_smoke_run_has_no_errors_and_writes_verdicts_and_reports(
    service, api, tmp_path
):
    await api.pictured(photos.jpeg())
    (tmp_path / "limits.toml").write_text(TARGETS)
    (tmp_path / "slo.yaml").write_text(OBJECTIVES)

    run = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "loadtests.load", "smoke", "--host", service.base_url),
            *("--seconds", "4", "--share", "0.8"),
            *("--slo", tmp_path / "slo.yaml", "--limits", tmp_path / "limits.toml"),
            *("--out", tmp_path / "results", "--reports", tmp_path / "reports"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert run.returncode == 1, run.stderr
    is_met = "| availability: Requests are answered. | ≤ 0.1 % | 0 % | met |" in run.stdout
    assert is_met, run.stdout + (tmp_path / "reports/locust.log").read_text()
    assert "| faster than light | < 0 ms |" in run.stdout
    assert run.stdout.count("MISSED") == 1
    (report,) = (tmp_path / "results").glob("load-smoke-at-0.8-*.md")
    assert report.read_text() in run.stdout
    rows = {
        line.split("|")[1].strip(): line for line in report.read_text().splitlines() if "|" in line
    }
    for title in ("GET /courses?page", "GET /courses/{id}", "POST /enrollments"):
        cells = [cell.strip() for cell in rows[title].split("|")]
        assert int(cells[2]) > 0
        assert float(cells[4]) > 0, "Locust measured it"
        assert float(cells[10]) > 0, "so did the service"
    with report.with_suffix(".csv").open() as file:
        assert sum(int(row["requests_a_second"]) for row in csv.DictReader(file)) > 80
    assert report.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "Locust" in (tmp_path / "reports" / f"{report.stem}.html").read_text()
    left = (await api.client.get("/api/v1/courses?search=load+testing")).json()["data"]
    assert left == [], "admins take away what they have made"


def test_an_invalid_targets_file_stops_the_run_before_it_starts(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(TARGETS.replace("p95", "p96"))
    command = [sys.executable, "-m", "loadtests.load", "smoke", "--limits", path]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (2, "faster than light: there is no measure 'p96'\n")
