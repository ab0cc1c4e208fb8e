"""Schemathesis: documented requests succeed, others are refused, and none causes a 500.

A small run; `make fuzz EXAMPLES=2000` runs 2,000 examples an operation for either role.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from cli.seed import seed as fill_tables
from deploy.embedded.service import start_service
from infra.settings import Settings
from tests.factories import free_ports
from tests.security import fuzz_report
from tests.security.servers import own_api

ROOT = Path(__file__).parents[2]
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "")
WATCH = "GET /api/v1/tasks/{task_id}/events"
PHASES = {"admin": "examples,coverage,fuzzing,stateful", "student": "examples,fuzzing"}
SMALL = "8"
# `make fuzz` writes its report here; the runs of this process by role.
REPORT = os.environ.get("FUZZ_REPORT", "")
RUNS: dict[str, fuzz_report.Run] = {}


@asynccontextmanager
async def target(service, new_database, folder: Path) -> AsyncIterator[tuple[str, Path, list[str]]]:
    """Return a URL, a file of existing ids, and options; the database is only for this test."""
    exempt = {"RATE_LIMIT_EXEMPT": "127.0.0.1"}
    if EXAMPLES:
        running = start_service(folder / "service", *free_ports(2), environment=exempt)
        known = await fill(running.env["DATABASE_URL"], folder, 2 * int(EXAMPLES))
        yield running.base_url, known, []
        running.stop()
    else:
        url = await new_database()
        known = await fill(url, folder, 50)
        async with own_api(service, folder, DATABASE_URL=url, **exempt) as server:
            # No worker uses that database, so a client of an event stream would wait for ever.
            yield server.address, known, ["--exclude-operation-id", "watch_task"]


async def fill(url: str, folder: Path, number: int) -> Path:
    """Fill the database with courses and enrollments; return a file of their ids."""
    await fill_tables(Settings(_env_file=None, database_url=url), number, number)
    connection = await asyncpg.connect(url)
    names = "SELECT id::text, course_id::text, student_email FROM enrollments"
    rows = await connection.fetch(names)
    await connection.close()
    known = folder / "known.json"
    known.write_text(json.dumps([tuple(row) for row in rows]), encoding="utf-8")
    return known


def with_input(document: dict) -> set[str]:
    """Return the operations whose requests can vary."""
    return {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("parameters") or "requestBody" in operation
    }


@pytest.mark.timeout(0 if EXAMPLES else 600)
@pytest.mark.parametrize("role", PHASES)
async def test_schemathesis_finds_no_failure(service, new_database, tmp_path, role):
    seed = random.randrange(1 << 32)
    counts = tmp_path / "counts.json"
    started = time.monotonic()
    async with target(service, new_database, tmp_path) as (address, known, options):
        async with httpx.AsyncClient(base_url=address) as client:
            document = (await client.get("/openapi.json")).json()
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("schemathesis"), "--config-file"),
            *(ROOT / "schemathesis.toml", "run", f"{address}/openapi.json"),
            *("--max-examples", EXAMPLES or SMALL, "--phases", PHASES[role], *options),
            *("--generation-database", "none"),
            *("--seed", str(seed), "--warnings", "off", "--no-color", "--continue-on-failure"),
            cwd=tmp_path,
            env=os.environ
            | {
                "SCHEMATHESIS_HOOKS": "tests.security.fuzz_hooks",
                "FUZZ_ROLE": role,
                "FUZZ_COUNTS": str(counts),
                "FUZZ_KNOWN": str(known),
                "PYTHONPATH": str(ROOT),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    said = output.decode()
    print(said)  # noqa: T201  how many cases there were, for who runs it whole
    passed = process.returncode == 0 and "No issues found" in said
    requests = json.loads(counts.read_text())
    if REPORT:
        RUNS[role] = fuzz_report.Run(requests, seed, time.monotonic() - started, passed, said)
        fuzz_report.write(ROOT / REPORT, EXAMPLES or SMALL, RUNS)
    assert passed, said
    # An operation without requests would have no failures either.
    asked = {name: sum(requests.get(name, {}).values()) for name in with_input(document)}
    few = {name: number for name, number in asked.items() if number < int(EXAMPLES or SMALL)}
    if options:
        del few[WATCH]
    assert len(asked) > 20
    assert not few
