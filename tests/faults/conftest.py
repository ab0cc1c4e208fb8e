"""A site of its own for each fault, and the table of what became of the tasks."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults import harness

HEAD = "| fault | accepted | done | failed | lost | duplicated | seconds to recover |"

REPORT = f"""\
# What became of the tasks when a plug was pulled

`make test-faults` runs real servers and workers, pulls a plug, and counts effects in a table and in
the bucket. Every accepted task is done once, or stands in the list of the failed.

{{date:%Y-%m-%d}}, {os.cpu_count()} cores, Linux {platform.machine()}. The workers run with leases
of 2 s instead of 30 s: recovery by lease takes a fifteenth of what it takes in service.

{{table}}
"""


@pytest.fixture(scope="session")
async def shared_machine(tmp_path_factory):
    """Servers for the faults that are not theirs."""
    async with harness.machine(tmp_path_factory.mktemp("machine")) as servers:
        yield servers


@pytest.fixture
async def site(shared_machine, tmp_path):
    """A database and a broker that no worker has seen."""
    async with harness.site(shared_machine, tmp_path) as made:
        yield made


@pytest.fixture
async def own_site(tmp_path):
    """The same on servers that this test may break."""
    tmp_path.chmod(0o755)
    async with harness.machine(tmp_path) as servers, harness.site(servers, tmp_path) as made:
        yield made


def pytest_terminal_summary(terminalreporter):
    """Print the table; write it where FAULT_REPORT says."""
    if not harness.OUTCOMES:
        return
    rows = [
        f"| {o.fault} | {o.accepted} | {o.done} | {o.failed} | {o.lost} | {o.duplicated} "
        f"| {o.seconds:.1f} |"
        for o in harness.OUTCOMES
    ]
    table = "\n".join([HEAD, "|---|" + "--:|" * 6, *rows])
    terminalreporter.write_line(table)
    if report := os.environ.get("FAULT_REPORT"):
        Path(report).write_text(REPORT.format(date=datetime.now(UTC), table=table))
