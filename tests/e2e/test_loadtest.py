"""`make loadtest HOST=…` with a run of a few seconds."""

import asyncio
import csv
import subprocess
import sys
from pathlib import Path

from tests import photos

ROOT = Path(__file__).parents[2]
# The test machine is no place to judge latencies: one target always holds, one never.
TARGETS = """
[[target]]
name = "errors"
measure = "errors"
at_most = 0
shapes = ["smoke"]

[[target]]
name = "faster than light"
measure = "p95"
below = 0
shapes = ["smoke"]
"""


async def test_a_short_smoke_run_has_no_errors_and_writes_verdicts_and_reports(
    service, api, tmp_path
):
    await api.pictured(photos.jpeg())
    (tmp_path / "slo.toml").write_text(TARGETS)

    run = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "loadtests.load", "smoke", "--host", service.base_url),
            *("--seconds", "4", "--share", "0.8", "--slo", tmp_path / "slo.toml"),
            *("--out", tmp_path / "results", "--reports", tmp_path / "reports"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert run.returncode == 1, run.stderr
    assert "| errors | ≤ 0 % | 0 % | met |" in run.stdout, run.stdout
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
    path = tmp_path / "slo.toml"
    path.write_text(TARGETS.replace("p95", "p96"))
    command = [sys.executable, "-m", "loadtests.load", "smoke", "--slo", path]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (2, "faster than light: there is no measure 'p96'\n")
